import ArgumentParser
import FieldNodes
import Foundation

/// `edge-aggregator nodes`: nodes of the field, as the running daemon knows them.
struct NodesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nodes", abstract: "Show the nodes of the field, admit them, and publish updates for CO2 units.",
        discussion: ExitCodes.help,
        subcommands: [
            List.self, Admit.self, Refuse.self, Rejected.self, Errors.self, Publish.self, Withdraw.self,
        ], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List nodes.")

        @OptionGroup var options: SettingsOptions
        @OptionGroup var daemon: DaemonOptions

        @Option(help: "Only of this kind: co2, isems or piwardrive.")
        var kind: KindArgument?

        @Option(help: "Only in this state: ok, silent, waiting or refused.")
        var state: String?

        @Flag(help: "Print the daemon's answer as it is.")
        var json = false

        func run() async throws {
            let settings = try options.load()
            let query = [kind.map { "kind=\($0.rawValue)" }, state.map { "state=\(DaemonOptions.encode($0))" }]
                .compactMap { $0 }.joined(separator: "&")
            let answer = try await daemon.ask("/api/v1/nodes?\(query)", settings)
            if json {
                print(answer)
                return
            }
            let page: NodeResources.Page = try daemon.decode(answer)
            if page.nodes.isEmpty { print("No node was heard of. See docs/nodes.md.") }
            for node in page.nodes { print(node.text) }
            if page.nodes.contains(where: { $0.state == "waiting" }) {
                print("Those that wait may send once they are admitted: edge-aggregator nodes admit KIND ID")
            }
        }
    }

    struct Admit: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Let a node send.")

        @OptionGroup var options: SettingsOptions
        @OptionGroup var daemon: DaemonOptions
        @OptionGroup var node: NodeArguments

        func run() async throws { try await node.set("admit", options, daemon) }
    }

    struct Refuse: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Let a node send no more. What it sent stays.")

        @OptionGroup var options: SettingsOptions
        @OptionGroup var daemon: DaemonOptions
        @OptionGroup var node: NodeArguments

        func run() async throws { try await node.set("refuse", options, daemon) }
    }

    struct Rejected: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show lines of nodes that could not be taken.")

        @OptionGroup var options: SettingsOptions
        @OptionGroup var daemon: DaemonOptions

        @Option(help: "How many, 1 to 1000.")
        var limit = 50

        func run() async throws {
            let page: NodeResources.RejectedPage = try daemon.decode(
                try await daemon.ask("/api/v1/nodes/rejected?limit=\(limit)", try options.load()))
            if page.rejected.isEmpty { print("Every line could be taken.") }
            for line in page.rejected {
                print("\(line.lastAt) \(line.kind)/\(line.node), \(line.count) times: \(line.reason)\n    \(line.line)")
            }
        }
    }

    struct Errors: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what a CO2 unit wrote in its log, or what a PiWardrive unit's last upload lacked.")

        @OptionGroup var options: SettingsOptions
        @OptionGroup var daemon: DaemonOptions

        @Argument(help: "co2, isems or piwardrive.")
        var kind: KindArgument

        @Argument(help: "The node's id.")
        var id: String

        @Option(help: "How many, 1 to 1000.")
        var limit = 50

        func run() async throws {
            let page: NodeResources.ErrorPage = try daemon.decode(
                try await daemon.ask(
                    "/api/v1/nodes/\(kind.rawValue)/\(DaemonOptions.encode(id))/errors?limit=\(limit)",
                    try options.load()))
            if page.errors.isEmpty { print("There is nothing.") }
            for error in page.errors {
                let source = [error.file, error.type].filter { !$0.isEmpty }.joined(separator: ", ")
                print("\(error.at ?? "at an unknown time") \(error.level), \(source): \(error.message)")
            }
        }
    }

    struct Publish: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Publish an update for CO2 units.",
            discussion: """
                The folder's name begins with update-, and sorts after those that the units have; in it are flash/ (program \
                files) and conf-patch/ (JSON). Each unit sees all of it at once, or nothing.
                """)

        @OptionGroup var options: SettingsOptions
        @OptionGroup var daemon: DaemonOptions

        @Argument(help: "The update's folder.")
        var folder: String

        @Argument(help: "Units, groups (@name, of co2_groups), or @all for every admitted one.")
        var units: [String]

        func run() async throws {
            let settings = try options.load()
            let name = ((folder as NSString).standardizingPath as NSString).lastPathComponent
            let files = FolderFiles.all(below: folder)
            guard !files.isEmpty else {
                printError("\(folder) has no files")
                throw ExitCodes.inputOutput
            }
            for unit in units {
                let base = "/api/v1/nodes/co2/\(DaemonOptions.encode(unit))/updates/\(DaemonOptions.encode(name))"
                for file in files {
                    guard let data = FileManager.default.contents(atPath: "\(folder)/\(file.path)") else {
                        printError("\(folder)/\(file.path) cannot be read")
                        throw ExitCodes.inputOutput
                    }
                    _ = try await daemon.ask(
                        "\(base)?path=\(DaemonOptions.encode(file.path))", settings, method: .put, body: Array(data))
                }
                _ = try await daemon.ask("\(base)/publish", settings, method: .post)
                print("\(unit): \(name) is published, \(files.count) files")
            }
        }
    }

    struct Withdraw: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take an update back. A unit that has fetched it keeps it.")

        @OptionGroup var options: SettingsOptions
        @OptionGroup var daemon: DaemonOptions

        @Argument(help: "The update's name.")
        var name: String

        @Argument(help: "Units, groups (@name, of co2_groups), or @all for every admitted one.")
        var units: [String]

        func run() async throws {
            let settings = try options.load()
            for unit in units {
                _ = try await daemon.ask(
                    "/api/v1/nodes/co2/\(DaemonOptions.encode(unit))/updates/\(DaemonOptions.encode(name))", settings,
                    method: .delete)
                print("\(unit): \(name) is withdrawn")
            }
        }
    }
}

/// A fleet, as an operator names it.
enum KindArgument: String, ExpressibleByArgument {
    case co2, isems, piwardrive
}

/// A node, as an operator names it.
struct NodeArguments: ParsableArguments {
    @Argument(help: "co2, isems or piwardrive.")
    var kind: KindArgument

    @Argument(help: "Its id.")
    var id: String

    func set(_ action: String, _ options: SettingsOptions, _ daemon: DaemonOptions) async throws {
        let node: NodeResources.Node = try daemon.decode(
            try await daemon.ask(
                "/api/v1/nodes/\(kind.rawValue)/\(DaemonOptions.encode(id))/\(action)", try options.load(),
                method: .post))
        print(node.text)
    }
}

extension NodeResources.Node {
    /// On one line, for people.
    var text: String {
        var parts = ["\(kind)/\(id)" + (name.map { " (\($0))" } ?? ""), state]
        if let lastSeenAt { parts.append("last seen \(lastSeenAt)") }
        if let battery { parts.append("battery \(Int(battery.rounded())) %") }
        if let signal { parts.append("signal \(Int(signal.rounded())) dBm") }
        if let place { parts.append("at \(place.latitude), \(place.longitude)") }
        return parts.joined(separator: ", ")
    }
}
