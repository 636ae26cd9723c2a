import ArgumentParser

/// `edge-aggregator outputs`: the lines that the running daemon sets.
struct OutputsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "outputs", abstract: "Show the outputs of the running daemon, or set one.",
        discussion: "`cycle` takes it the other way for two seconds, and back.\n\(ExitCodes.help)")

    @OptionGroup var options: SettingsOptions
    @OptionGroup var daemon: DaemonOptions

    @Argument(help: "Set this output.")
    var name: String?

    @Argument(help: "on, off or cycle.")
    var state: String?

    func validate() throws {
        guard (name == nil) == (state == nil), state.map({ ["on", "off", "cycle"].contains($0) }) ?? true else {
            throw ValidationError("a name is followed by on, off or cycle")
        }
    }

    func run() async throws {
        let settings = try options.load()
        var path = "/api/v1/outputs"
        if let name, let state { path += "/\(DaemonOptions.encode(name))?state=\(state)" }
        let page: OutputResources.Page = try daemon.decode(
            try await daemon.ask(path, settings, method: name == nil ? .get : .post))
        if page.outputs.isEmpty { print("No output is set. See docs/sensors.md.") }
        for output in page.outputs {
            print(
                "\(output.name): \(output.mode) at \(output.place), \(output.isOn ? "on" : "off")"
                    + (output.reason.map { " (\($0))" } ?? ""))
        }
    }
}
