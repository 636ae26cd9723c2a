import Foundation
import TextParts

/// Reads a page of metrics in the Prometheus text format 0.0.4: that which this program writes.
struct ExpositionText {
    struct Sample: Equatable {
        /// In order of their names, `__name__` among them.
        var labels: [Label]
        var value: Double
    }

    struct Label: Hashable {
        var name: String
        var value: String
    }

    /// - Parameter added: labels that every series gets.
    static func samples(_ text: String, adding added: [Label] = []) -> [Sample] {
        text.utf8.split(separator: UInt8(ascii: "\n")).compactMap { line in
            guard let first = line.first, first != UInt8(ascii: "#") else { return nil }
            return sample(Substring(line), added)
        }
    }

    private static func sample(_ line: Substring, _ added: [Label]) -> Sample? {
        guard let (head, text) = line.halves(atLast: " "), let value = number(text) else { return nil }
        var labels = added
        guard let (name, rest) = head.halves(at: "{") else {
            labels.append(Label(name: "__name__", value: String(head)))
            return Sample(labels: sorted(labels), value: value)
        }
        labels.append(Label(name: "__name__", value: String(name)))
        guard rest.utf8.last == UInt8(ascii: "}"), let own = pairs(Substring(rest.utf8.dropLast())) else { return nil }
        return Sample(labels: sorted(labels + own), value: value)
    }

    /// The receiver wants labels in the order of their names' bytes, each once.
    private static func sorted(_ labels: [Label]) -> [Label] {
        var seen: Set<String> = []
        return labels.filter { seen.insert($0.name).inserted && !$0.value.isEmpty }
            .sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    private static func number(_ text: Substring) -> Double? {
        switch text {
        case "+Inf": .infinity
        case "-Inf": -.infinity
        case "NaN": .nan
        default: Double(text)
        }
    }

    private static func pairs(_ text: Substring) -> [Label]? {
        var labels: [Label] = []
        var rest = text.unicodeScalars[...]
        while !rest.isEmpty {
            guard let equals = rest.firstIndex(of: "=" as Unicode.Scalar) else { return nil }
            let name = String(rest[..<equals])
            rest = rest[rest.index(after: equals)...]
            guard rest.popFirst() == "\"" as Unicode.Scalar else { return nil }
            var value = String.UnicodeScalarView()
            var isEscaped = false
            var isClosed = false
            while let scalar = rest.popFirst() {
                if isEscaped {
                    value.append(scalar == "n" ? "\n" : scalar)
                    isEscaped = false
                } else if scalar == "\\" {
                    isEscaped = true
                } else if scalar == "\"" {
                    isClosed = true
                    break
                } else {
                    value.append(scalar)
                }
            }
            guard isClosed else { return nil }
            labels.append(Label(name: name, value: String(value)))
            if let comma = rest.popFirst(), comma != "," { return nil }
        }
        return labels
    }
}
