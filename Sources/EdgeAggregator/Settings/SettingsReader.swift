import TextParts

/// Hands checked values to the parts, and collects what only the parts can find wrong.
struct SettingsReader {
    private let values: [String: SettingsLoader.Effective]
    /// What each of them had before a later source won.
    private let hidden: [String: [SettingsLoader.Effective]]
    private(set) var problems: [SettingsProblem]
    /// What does not stop the start.
    private(set) var notices: [SettingsProblem] = []

    init(loader: SettingsLoader) {
        values = loader.values
        hidden = loader.hidden
        problems = loader.problems
    }

    func bool(_ name: String) -> Bool {
        if case .bool(let value)? = values[name]?.value { value } else { false }
    }
    func int(_ name: String) -> Int {
        if case .int(let value)? = values[name]?.value { value } else { 0 }
    }
    func number(_ name: String) -> Double {
        if case .number(let value)? = values[name]?.value { value } else { 0 }
    }
    func optionalNumber(_ name: String) -> Double? {
        if case .number(let value)? = values[name]?.value { value } else { nil }
    }
    func text(_ name: String) -> String {
        if case .text(let value)? = values[name]?.value { value } else { "" }
    }
    func list(_ name: String) -> [String] {
        if case .list(let value)? = values[name]?.value { value } else { [] }
    }
    func map(_ name: String) -> [String: String] {
        if case .map(let value)? = values[name]?.value { value } else { [:] }
    }
    func isSet(_ name: String) -> Bool { values[name].map { $0.source != "default" } ?? false }

    /// Whether a setting says something else than its default.
    func isConfigured(_ name: String) -> Bool {
        guard isSet(name), let setting = SettingsCatalogue.byName[name] else { return false }
        return values[name]?.value != setting.value(fromText: setting.fallback)
    }

    func isEmpty(_ name: String) -> Bool { values[name].map { $0.value.display.isEmpty } ?? true }

    /// Where the value in force comes from.
    func source(_ name: String) -> String { values[name]?.source ?? "default" }

    /// Values that later sources have replaced, the earliest first, without the default.
    func hiddenValues(_ name: String) -> [SettingsLoader.Effective] { hidden[name] ?? [] }

    /// A path that has a default below a folder.
    func path(_ name: String, in folder: String, _ fallback: String) -> String {
        let text = text(name)
        return text.isEmpty ? "\(folder)/\(fallback)" : text
    }

    /// Makes a value and the one that it must not exceed fit each other: a default gives way to what is set. Only two values that are
    /// both set are refused.
    ///
    /// - Parameter lower: makes of the upper value the greatest that the lower one may have.
    mutating func reconcile(
        _ lowerName: String, _ lowerValue: inout Double, atMost upperName: String, _ upperValue: inout Double,
        lower: (Double) -> Double = { $0 }, upper: (Double) -> Double = { $0 }
    ) {
        guard lowerValue > lower(upperValue) else { return }
        switch (isSet(lowerName), isSet(upperName)) {
        case (_, false): upperValue = upper(lowerValue)
        case (false, true): lowerValue = lower(upperValue)
        case (true, true):
            refuse(
                lowerName,
                "it is too much for \(upperName) (\(SettingValue.number(upperValue).display)); lower it, or raise \(upperName)"
            )
        }
    }

    mutating func refuse(_ name: String, _ message: String) {
        problems.append(
            SettingsProblem(
                place: isSet(name) ? values[name]?.source ?? "settings" : "settings", message: "\(name): \(message)"))
    }

    /// Something that an operator should know, about settings that are in force or would be.
    mutating func notice(_ names: [String], _ message: String) {
        notices.append(SettingsProblem(place: place(of: names), message: message))
    }

    /// The files that settings stand in, without lines, and the environment.
    func place(of names: [String]) -> String {
        var places: [String] = []
        for name in names where isSet(name) {
            let place = Self.file(of: source(name))
            if !places.contains(place) { places.append(place) }
        }
        return places.isEmpty ? "settings" : places.joined(separator: ", ")
    }

    /// `settings.yaml` of `settings.yaml:12`.
    private static func file(of source: String) -> String {
        guard let (file, line) = source.halves(atLast: ":"), Int(line) != nil else { return source }
        return String(file)
    }

    /// Reads the settings of a part that can be off. While it is off, what is wrong with them is a notice: it cannot stop the start.
    ///
    /// - Parameter off: why it is off, such as `forecasts: disabled`.
    mutating func checked<Value>(
        isOn: Bool, off: String, _ body: (inout SettingsReader) -> Value
    ) -> Value {
        let known = problems.count
        let value = body(&self)
        guard !isOn else { return value }
        for problem in problems[known...] {
            notices.append(
                SettingsProblem(place: problem.place, message: "\(problem.message) (not used now: \(off))"))
        }
        problems.removeSubrange(known...)
        return value
    }
}
