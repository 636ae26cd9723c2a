import ArgumentParser
import AudioDSP
import CEdgeSystem
import Foundation
import Logging
import NIOCore
import Store

/// `edge-aggregator run`: the daemon.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run the daemon until it is told to end (SIGTERM, SIGINT).",
        discussion: ExitCodes.help)

    @OptionGroup var options: SettingsOptions

    @Option(help: "A recording to name in the greeting.")
    var sample: String?

    func run() async throws {
        let settings = try options.load()
        let reporter = try settings.box.sentry.map {
            try SentryReporter(address: $0, box: settings.box.uuid, secrets: settings.secrets)
        }
        LoggingSystem.bootstrap { [isJSON = settings.box.isLogJSON] label in
            let lines = LineLogHandler(label: label, isJSON: isJSON)
            guard let reporter else { return lines }
            return MultiplexLogHandler([lines, SentryLogHandler(reporter: reporter)])
        }
        var logger = Logger(label: "edge-aggregator")
        logger.logLevel = Logger.Level(rawValue: settings.box.logLevel) ?? .info
        signal(SIGPIPE, SIG_IGN)
        edge_use_little_memory()
        do {
            let daemon = try Daemon(settings: settings, logger: logger)
            let sample = sample
            try await daemon.run(beside: reporter.map { [$0] } ?? []) { ports in
                greet(settings, port: ports.first ?? 0, sample: sample)
            }
        } catch let error as ClassifierError {
            printError("\(error)")
            throw ExitCodes.failure
        } catch let error as StoreError {
            printError("\(error)")
            throw ExitCodes.inputOutput
        } catch let error as CocoaError {
            printError(
                "A folder could not be made below \(settings.box.baseFolder): \(error.localizedDescription) "
                    + "Set base_dir to one that this user can write.")
            throw ExitCodes.inputOutput
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            let addresses = settings.box.addresses.map { "\($0.host):\($0.port)" }.joined(separator: ", ")
            printError(
                "An address is in use already, by another daemon or program (`ss -ltnp` tells): \(addresses) or port "
                    + "\(settings.box.metricsPort) for metrics. End that one, or set listen and metrics_port.")
            throw ExitCodes.failure
        } catch let problems as SettingsProblems {
            printError("\(problems)")
            throw ExitCodes.settings
        } catch {
            printError("The daemon ended: \(error)")
            throw ExitCodes.failure
        }
    }
}

private func greet(_ settings: Settings, port: Int, sample: String?) {
    let host = settings.box.addresses.first?.host ?? "127.0.0.1"
    let address = "http://\(host == "0.0.0.0" ? "127.0.0.1" : host):\(port)"
    print("Edge Aggregator \(Version.text) is ready.")
    print("  page      \(address)/")
    print("  API       \(address)/api/v1/status   (described by \(address)/openapi.json)")
    print("  listeners POST \(address)\(settings.reception.streamPath)?listener_id=<id>")
    if let sample {
        let program = CommandLine.arguments.first ?? "edge-aggregator"
        print("Play a real bird recording at it, from another terminal:")
        print(
            "  \(program) stream \(sample) --listeners 5 --interval 2 --stagger 10 --url \(address)\(settings.reception.streamPath)"
        )
    }
    // The greeting is waited for by whoever started the daemon, also through a pipe.
    fflush(nil)
}
