import TextParts

/// One setting: its name, what may stand there, and what it does. The reference page, the check of the file and the
/// output of `settings` are made from these.
struct SettingDescription: Sendable {
    enum Kind: Sendable {
        case bool
        case int(ClosedRange<Int>)
        case number(ClosedRange<Double>)
        /// May be left empty.
        case optionalNumber(ClosedRange<Double>)
        case text
        case choice([String])
        case list
        /// `name: value`, in the environment `name=value,name=value`.
        case map
    }

    let name: String
    let kind: Kind
    /// As it would be written in the file.
    let fallback: String
    let unit: String
    let isSecret: Bool
    /// Whether it is known, so that files and environments of the replaced systems are accepted, and changes nothing.
    let isWithoutEffect: Bool
    /// Other words for those of a choice, in lower case.
    let synonyms: [String: String]
    let group: String
    let purpose: String

    init(
        _ name: String, _ kind: Kind, _ fallback: String, unit: String = "", secret: Bool = false,
        withoutEffect: Bool = false, synonyms: [String: String] = [:], group: String, _ purpose: String
    ) {
        self.name = name
        self.kind = kind
        self.fallback = fallback
        self.unit = unit
        isSecret = secret
        isWithoutEffect = withoutEffect
        self.synonyms = synonyms
        self.group = group
        self.purpose = purpose
    }

    var environmentName: String { name.uppercased() }

    /// What may stand there, for people.
    var allowed: String {
        switch kind {
        case .bool: "true or false (also yes/no, on/off, 1/0)"
        case .int(let range):
            range.upperBound == Int.max
                ? "a whole number from \(range.lowerBound)"
                : "a whole number, \(range.lowerBound) to \(range.upperBound)"
        case .number(let range): "a number, \(range.lowerBound) to \(range.upperBound)"
        case .optionalNumber(let range): "empty, or a number, \(range.lowerBound) to \(range.upperBound)"
        case .text: "text"
        case .choice(let words):
            "one of \(words.joined(separator: ", "))"
                + (synonyms.isEmpty ? "" : "; also \(synonyms.keys.sorted().joined(separator: ", "))")
        case .list: "a list; in the environment separated by commas"
        case .map:
            "name: value pairs; in the environment name=value, separated by commas, or by semicolons if there is one"
        }
    }
}

/// A checked value.
enum SettingValue: Sendable, Equatable {
    case bool(Bool)
    case int(Int)
    case number(Double)
    case text(String)
    case list([String])
    case map([String: String])
    case none

    /// As people would write it.
    var display: String {
        switch self {
        case .bool(let value): "\(value)"
        case .int(let value): "\(value)"
        case .number(let value): value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
        case .text(let value): value
        case .list(let values): values.joined(separator: ",")
        case .map(let values): values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
        case .none: ""
        }
    }
}

extension SettingDescription {
    /// Reads a value written as text; nil when it is not one.
    func value(fromText text: String) -> SettingValue? {
        let text = text.trimmingSpaces
        switch kind {
        case .bool:
            switch text.lowercased() {
            case "true", "yes", "on", "1": return .bool(true)
            case "false", "no", "off", "0": return .bool(false)
            default: return nil
            }
        case .int(let range): return Int(text).flatMap { range.contains($0) ? .int($0) : nil }
        case .number(let range): return Double(text).flatMap { range.contains($0) ? .number($0) : nil }
        case .optionalNumber(let range):
            if text.isEmpty || text == "~" || text == "null" { return SettingValue.none }
            return Double(text).flatMap { range.contains($0) ? .number($0) : nil }
        case .text: return .text(text)
        case .choice(let words):
            let word = text.lowercased()
            return words.contains(word) ? .text(word) : synonyms[word].map { .text($0) }
        case .list:
            return .list(text.parts(at: ",").map { String($0).trimmingSpaces }.filter { !$0.isEmpty })
        case .map:
            var pairs: [String: String] = [:]
            // Values may have commas of their own, such as the names of sound cards.
            for part in text.parts(at: text.holds(";") ? ";" : ",") {
                if part.trimmed.isEmpty { continue }
                let pair = part.parts(at: "=", maximumSplits: 1).map { String($0).trimmingSpaces }
                guard pair.count == 2, !pair[0].isEmpty else { return nil }
                pairs[pair[0]] = pair[1]
            }
            return .map(pairs)
        }
    }
}

extension String {
    var trimmingSpaces: String { String(trimmed) }
}
