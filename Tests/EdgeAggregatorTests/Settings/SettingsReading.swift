@testable import EdgeAggregator

/// Settings as a test writes them, without files.
struct SettingsReading {
    let settings: Settings?
    /// What stops the start.
    let problems: [String]
    /// What a start logs, and `settings check` says.
    let notices: [String]
    /// What every command says.
    let warnings: [String]

    init(yaml: String = "", dotenv: String = "", environment: [String: String] = [:]) {
        var loader = SettingsLoader()
        loader.load(yaml: yaml, path: "settings.yaml")
        loader.load(dotenv: dotenv, path: ".env")
        loader.loadEnvironment(environment)
        warnings = loader.warnings.map(\.description)
        do {
            let settings = try Settings(loader: loader, file: "settings.yaml")
            self.settings = settings
            problems = []
            notices = settings.notices.map(\.description)
        } catch let error as SettingsProblems {
            settings = nil
            problems = error.problems.map(\.description)
            notices = error.notices.map(\.description)
        } catch {
            settings = nil
            problems = ["\(error)"]
            notices = []
        }
    }
}
