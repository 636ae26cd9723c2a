import Foundation
import TextParts
import Yams

/// Reads the settings from where they may stand: defaults, the file, `.env`, the service manager's credentials (or
/// the secrets' files beside the settings, for whoever may read them), the environment; the later wins.
struct SettingsLoader {
    /// Where a value came from, for people.
    struct Effective: Sendable {
        let value: SettingValue
        let source: String
    }

    private(set) var values: [String: Effective] = [:]
    /// What later sources have replaced, the earliest first, without the defaults.
    private(set) var hidden: [String: [Effective]] = [:]
    private(set) var problems: [SettingsProblem] = []
    private(set) var warnings: [SettingsProblem] = []
    /// What is said at a start and by `settings check`, and not by every command.
    private(set) var notices: [SettingsProblem] = []

    init() {
        for setting in SettingsCatalogue.all {
            // A default that does not fit its own kind would be a mistake in the catalogue; a test looks.
            values[setting.name] = Effective(
                value: setting.value(fromText: setting.fallback) ?? .none, source: "default")
        }
    }

    /// Which file is meant: the one named, else `CONFIG_PATH`, else the usual places. Nil for none.
    static func file(named path: String?, environment: [String: String]) -> String? {
        if let path { return path }
        if let path = environment["CONFIG_PATH"].map(EnvironmentText.unquoted), !path.isEmpty { return path }
        return ["settings.yaml", "/etc/edge-aggregator/settings.yaml"].first {
            FileManager.default.fileExists(atPath: $0)
        }
    }

    mutating func load(file path: String?, environment: [String: String]) {
        if let path { loadFile(path) }
        let dotenv = ((path ?? "./settings.yaml") as NSString).deletingLastPathComponent
        let dotenvPath = dotenv.isEmpty ? ".env" : "\(dotenv)/.env"
        if FileManager.default.fileExists(atPath: dotenvPath) { loadDotenv(dotenvPath) }
        placeBaseFolder(below: dotenv)
        if let folder = environment["CREDENTIALS_DIRECTORY"], !folder.isEmpty {
            loadCredentials(folder)
        } else if let path {
            loadSecretsBeside(path)
        }
        loadEnvironment(environment)
    }

    /// A relative `base_dir` of a file is below that file's folder, so that every command finds it from any working folder.
    mutating func placeBaseFolder(below folder: String) {
        guard !folder.isEmpty, let base = values["base_dir"], base.source != "default",
            case .text(let path) = base.value, !path.begins(with: "/")
        else { return }
        values["base_dir"] = Effective(value: .text("\(folder)/\(path)"), source: base.source)
    }

    // MARK: - The file

    mutating func loadFile(_ path: String) {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            problems.append(
                SettingsProblem(place: path, message: "the file cannot be read; name another with --settings"))
            return
        }
        load(yaml: String(text.withoutByteOrderMark), path: path)
    }

    mutating func load(yaml text: String, path: String) {
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch {
            let (place, problem) = Self.withoutText(error)
            problems.append(
                SettingsProblem(
                    place: place.map { "\(path):\($0.line)" } ?? path,
                    message: "this is not YAML: \(place.map { "column \($0.column): " } ?? "")\(problem)"))
            return
        }
        guard let root, root != Node("", Tag(.null)), root.null == nil || root.mapping != nil else { return }
        guard let mapping = root.mapping else {
            problems.append(SettingsProblem(place: path, message: "a list of `name: value` lines is expected"))
            return
        }
        for (keyNode, node) in mapping {
            let line = keyNode.mark.map { "\(path):\($0.line)" } ?? path
            take(key: keyNode.string ?? "", node: node, place: line)
        }
    }

    /// Where an error is, and what is wrong, in the parser's own words. Descriptions of these errors hold a line of the file, or all
    /// of it, and so perhaps a secret.
    private static func withoutText(_ error: any Error) -> (place: (line: Int, column: Int)?, problem: String) {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return ((mark.line, mark.column), problem)
        case .reader(let problem, let offset, _, let yaml):
            // The parser counts Characters there. A letter stands for the one that it cannot read.
            let lines = offset.map { "\(yaml.prefix($0))x".lines(omittingEmpty: false) }
            return (lines.map { ($0.count, $0.last?.unicodeScalars.count ?? 1) }, problem)
        case .duplicatedKeysInMapping(_, let context):
            return ((context.mark.line, context.mark.column), "a name stands twice")
        case .writer(let problem), .emitter(let problem), .representer(let problem): return (nil, problem)
        case .no, .memory, .dataCouldNotBeDecoded, nil: return (nil, "it cannot be read")
        }
    }

    private mutating func take(key: String, node: Node, place: String) {
        guard let setting = Self.setting(named: key) else {
            problems.append(SettingsProblem(place: place, message: Self.unknown(key)))
            return
        }
        let value: SettingValue?
        let found: String
        switch (node, setting.kind) {
        case (.sequence(let sequence), .list):
            found = "a list"
            let texts = sequence.compactMap(\.string)
            value = texts.count == sequence.count ? .list(texts) : nil
        case (.mapping(let mapping), .map):
            found = "a map"
            var pairs: [String: String] = [:]
            for (name, text) in mapping { pairs[name.string ?? ""] = text.string ?? "" }
            value = .map(pairs)
        case (.scalar(let scalar), _):
            found = setting.isSecret ? "a value" : "`\(scalar.string)`"
            let isNull = scalar.style == .plain && ["", "~", "null"].contains(scalar.string)
            // An empty line leaves the default, as in the environment.
            if isNull { return }
            value = setting.value(fromText: scalar.string)
        default:
            found = "a nested value"
            value = nil
        }
        put(value, found: found, setting: setting, place: place, source: place)
    }

    private mutating func put(
        _ value: SettingValue?, found: String, setting: SettingDescription, place: String, source: String
    ) {
        guard let value else {
            problems.append(
                SettingsProblem(
                    place: place, message: "\(setting.name): \(found) stands here; allowed is \(setting.allowed)"))
            return
        }
        guard !value.display.utf8.contains(0) else {
            problems.append(
                SettingsProblem(place: place, message: "\(setting.name): a NUL character cannot stand in a value"))
            return
        }
        if let earlier = values[setting.name], earlier.source != "default" {
            hidden[setting.name, default: []].append(earlier)
        }
        values[setting.name] = Effective(value: value, source: source)
    }

    // MARK: - Environment

    mutating func loadDotenv(_ path: String) {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            problems.append(SettingsProblem(place: path, message: "the file cannot be read"))
            return
        }
        load(dotenv: text, path: path)
    }

    mutating func load(dotenv text: String, path: String) {
        let file = DotenvFile(text)
        problems += file.problems.map { SettingsProblem(place: "\(path):\($0.line)", message: $0.message) }
        for entry in file.entries {
            let place = "\(path):\(entry.line)"
            guard let setting = Self.setting(named: entry.name.lowercased()), entry.name == entry.name.uppercased()
            else {
                if let near = Self.nearest(entry.name.lowercased()) {
                    warnings.append(
                        SettingsProblem(
                            place: place,
                            message: "\(entry.name) is not a setting; the nearest is \(near.uppercased())"))
                }
                continue
            }
            if entry.hasRest {
                warnings.append(
                    SettingsProblem(place: place, message: "\(entry.name): what follows the closing quote is ignored"))
            }
            // Earlier releases took such a value as it stands.
            if setting.isSecret, entry.hasComment || entry.hasEscape {
                warnings.append(
                    SettingsProblem(
                        place: place,
                        message: "\(entry.name): "
                            + (entry.hasComment ? "what follows the # is a comment" : "a backslash begins an escape")
                            + "; if it belongs to the value, put the value in single quotes"))
            }
            take(text: entry.value, setting: setting, place: place)
        }
    }

    mutating func loadEnvironment(_ environment: [String: String]) {
        for setting in SettingsCatalogue.all {
            // As containers get their secrets: the path of a file, /run/secrets/… for one.
            let fileName = setting.environmentName + "_FILE"
            if setting.isSecret, let path = environment[fileName].map(EnvironmentText.unquoted), !path.isEmpty {
                takeSecret(setting, path: path, place: "environment \(fileName)")
            }
            takeVariable(setting.environmentName, setting, environment)
        }
        for (alias, name) in SettingsCatalogue.aliases {
            if let setting = SettingsCatalogue.byName[name] { takeVariable(alias.uppercased(), setting, environment) }
        }
        notices += EnvironmentNames.notices(Set(environment.keys))
    }

    private mutating func takeVariable(
        _ name: String, _ setting: SettingDescription, _ environment: [String: String]
    ) {
        guard let text = environment[name] else { return }
        let value = EnvironmentText.unquoted(text)
        // Earlier releases took such a value as it stands.
        if setting.isSecret, value != text {
            warnings.append(
                SettingsProblem(
                    place: "environment", message: "\(name): the quotes around the value are not taken as part of it"))
        }
        take(text: value, setting: setting, place: "environment")
    }

    // MARK: - Files with one secret each

    /// Takes a secret from the file of its name that the service manager put there (systemd.exec(5), `LoadCredential=`).
    mutating func loadCredentials(_ folder: String) {
        for setting in SettingsCatalogue.all where setting.isSecret {
            // A folder of them is loaded under a prefix (`LoadCredential=edge:FOLDER`).
            let names = ["\(folder)/\(setting.name)", "\(folder)/edge_\(setting.name)"]
            guard let path = names.first(where: { FileManager.default.fileExists(atPath: $0) }) else { continue }
            takeSecret(setting, path: path, place: "credential \(setting.name)")
        }
    }

    /// For whoever may read them, the files that the service manager makes credentials of: root's commands see what the daemon sees.
    ///
    /// Memory: `realpath` allocates `real`; it is copied here and freed when this returns. The other paths are borrowed for the
    /// calls.
    private mutating func loadSecretsBeside(_ path: String) {
        guard let real = unsafe realpath(path, nil) else { return }
        defer { unsafe free(real) }
        let folder = unsafe "\((String(cString: real) as NSString).deletingLastPathComponent)/secrets"
        for setting in SettingsCatalogue.all where setting.isSecret {
            let file = "\(folder)/\(setting.name)"
            if unsafe access(file, R_OK) == 0 { takeSecret(setting, path: file, place: file) }
        }
    }

    private mutating func takeSecret(_ setting: SettingDescription, path: String, place: String) {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            problems.append(
                SettingsProblem(place: place, message: "\(setting.name): the file \(path) cannot be read as text"))
            return
        }
        take(text: String(text.withoutByteOrderMark.trimmed), setting: setting, place: place)
    }

    private mutating func take(text: String, setting: SettingDescription, place: String) {
        guard !text.isEmpty else { return }
        put(
            setting.value(fromText: text), found: setting.isSecret ? "a value" : "`\(text)`", setting: setting,
            place: place == "environment" ? "environment \(setting.environmentName)" : place, source: place)
    }

    // MARK: - Names

    private static func setting(named name: String) -> SettingDescription? {
        SettingsCatalogue.byName[SettingsCatalogue.aliases[name] ?? name]
    }

    static func nearest(_ name: String) -> String? {
        let best = SettingsCatalogue.all.map { ($0.name, editDistance($0.name, name)) }.min { $0.1 < $1.1 }
        guard let best, best.1 <= max(2, name.utf8.count / 3) else { return nil }
        return best.0
    }

    private static func unknown(_ key: String) -> String {
        nearest(key).map { "\(key) is not a setting; the nearest is \($0)" }
            ?? "\(key) is not a setting; `edge-aggregator settings reference` lists them all"
    }
}
