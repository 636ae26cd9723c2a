import ArgumentParser
import Foundation

/// `edge-aggregator deliveries`: what waits to be sent, and what was refused.
struct DeliveriesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deliveries",
        abstract: "Show what waits for the far ends, and give refused deliveries another chance.",
        discussion: ExitCodes.help)

    @OptionGroup var options: SettingsOptions
    @OptionGroup var daemon: DaemonOptions

    @Option(help: "Only this sink's.")
    var sink: String?

    @Option(help: "Only in this state: waiting, held or refused.")
    var state: String?

    @Option(help: "How many to show, 1 to 1000.")
    var limit = 20

    @Flag(help: "Send refused deliveries again: all, or those of --sink, or the one of --id.")
    var requeue = false

    @Option(help: "With --requeue: this delivery only.")
    var id: Int64?

    @Flag(help: "Print the daemon's answer as it is.")
    var json = false

    func run() async throws {
        let settings = try options.load()
        if requeue {
            let query = [sink.map { "sink=\(DaemonOptions.encode($0))" }, id.map { "id=\($0)" }].compactMap { $0 }
                .joined(separator: "&")
            print(try await daemon.ask("/api/v1/deliveries/requeue?\(query)", settings, method: .post))
            return
        }
        var query = "limit=\(limit)"
        if let sink { query += "&sink=\(DaemonOptions.encode(sink))" }
        if let state { query += "&state=\(DaemonOptions.encode(state))" }
        let list = try await daemon.ask("/api/v1/deliveries?\(query)", settings)
        if json {
            print(list)
            return
        }
        struct Sinks: Decodable { let sinks: [SinkReading] }
        let sinks: Sinks = try daemon.decode(try await daemon.ask("/api/v1/sinks", settings))
        let page: DeliveryResources.Page = try daemon.decode(list)
        if sinks.sinks.isEmpty { print("No sink is set: nothing waits. See docs/settings.md, Deliveries.") }
        for sink in sinks.sinks { print(sink.text) }
        for row in page.deliveries {
            let facts = row.firstId == row.lastId ? "\(row.firstId)" : "\(row.firstId)-\(row.lastId)"
            print(
                "  #\(row.id) \(row.sink) \(row.kind) \(facts): \(row.state), \(row.attempts) attempts"
                    + (row.error.map { ", \($0)" } ?? ""))
        }
        if page.next != nil { print("  and more (--limit)") }
    }
}

/// Where the running daemon is asked.
struct DaemonOptions: ParsableArguments {
    @Option(help: "Address of the daemon (else the first of `listen` in the settings).")
    var url: String?

    /// For a value in a query.
    static func encode(_ text: String) -> String {
        text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
    }

    func base(_ settings: Settings) -> String {
        url ?? settings.box.addresses.first?.localURL() ?? "http://127.0.0.1:8000"
    }

    func ask(
        _ path: String, _ settings: Settings, method: SmallHTTPClient.Method = .get, body: [UInt8] = []
    ) async throws -> String {
        let base = base(settings)
        do {
            return try await SmallHTTPClient.ask(
                "\(base)\(path)", method: method, bearer: settings.knownToken, body: body)
        } catch let error as SmallHTTPClient.Failure where error.isAnswer {
            printError("The daemon at \(base) answers \(error)")
            throw ExitCodes.failure
        } catch {
            printError("No daemon answers at \(base): \(error). Start one with `make run`, or name it with --url.")
            throw ExitCodes.unavailable
        }
    }

    /// For the API's answers.
    static var decoder: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return decoder
    }

    func decode<Value: Decodable>(_ body: String) throws -> Value {
        guard let value = try? Self.decoder.decode(Value.self, from: Data(body.utf8)) else {
            printError("This does not answer like this program's daemon: \(body.prefix(200))")
            throw ExitCodes.unavailable
        }
        return value
    }
}
