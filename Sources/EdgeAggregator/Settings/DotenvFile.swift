import TextParts

/// The lines of an `.env` file, read as Docker Compose does ("Interpolation", `.env` file syntax): `NAME=value`, also after `export`.
///
/// A value may stand in single quotes, where only `\'` is an escape, or in double quotes with `\n`, `\r`, `\t`, `\"`, `\$` and `\\`;
/// it then may hold `#` and line ends. A `#` begins a comment at the beginning of a line, after white space in a value without quotes,
/// and after the closing quote. Nothing is put in place of `$NAME`, so a token may hold a dollar sign.
struct DotenvFile {
    struct Entry: Equatable {
        /// From 1.
        let line: Int
        let name: String
        let value: String
        /// Whether something other than a comment follows the closing quote. It is ignored.
        var hasRest = false
        /// Whether a comment was cut off a value without quotes.
        var hasComment = false
        /// Whether a backslash in quotes stands for something else than itself.
        var hasEscape = false
    }

    struct Problem: Equatable {
        /// From 1.
        let line: Int
        let message: String
    }

    private(set) var entries: [Entry] = []
    private(set) var problems: [Problem] = []

    init(_ text: String) {
        let lines = text.withoutByteOrderMark.lines(omittingEmpty: false)
        var next = 0
        while next < lines.count {
            let number = next + 1
            let line = lines[next]
            next += 1
            if line.trimmed.isEmpty || line.trimmed.begins(with: "#") { continue }
            guard let (before, after) = line.halves(at: "=") else {
                problems.append(Problem(line: number, message: "`NAME=value` is expected"))
                continue
            }
            var name = before.trimmed
            if name.begins(with: "export"), name.words().count == 2 { name = name.words()[1] }
            guard let quote = after.trimmed.unicodeScalars.first, quote == "\"" || quote == "'" else {
                let (value, hasComment) = Self.withoutComment(after)
                entries.append(Entry(line: number, name: String(name), value: value, hasComment: hasComment))
                continue
            }
            var quoted = QuotedValue(quote: quote)
            var rest = quoted.take(Substring(after.unicodeScalars.drop { $0 != quote }.dropFirst()))
            while rest == nil, next < lines.count {
                quoted.value.unicodeScalars.append("\n")
                rest = quoted.take(lines[next])
                next += 1
            }
            guard let rest = rest?.trimmed else {
                problems.append(Problem(line: number, message: "\(name): the quote \(quote) is not closed"))
                // The other lines are read as if the quote were none.
                next = number
                continue
            }
            entries.append(
                Entry(
                    line: number, name: String(name), value: quoted.value,
                    hasRest: !rest.isEmpty && !rest.begins(with: "#"), hasEscape: quoted.hasEscape))
        }
    }

    /// - Parameter text: what follows the `=` of a value without quotes.
    private static func withoutComment(_ text: Substring) -> (value: String, hasComment: Bool) {
        var isAfterSpace = false
        var end = text.startIndex
        var hasComment = false
        for index in text.unicodeScalars.indices {
            let scalar = text.unicodeScalars[index]
            if scalar == "#", isAfterSpace {
                hasComment = true
                break
            }
            isAfterSpace = scalar.properties.isWhitespace
            end = text.unicodeScalars.index(after: index)
        }
        return (String(text[..<end].trimmed), hasComment)
    }
}

/// What stands between quotes.
private struct QuotedValue {
    let quote: Unicode.Scalar
    var value = ""
    private(set) var hasEscape = false
    private var isEscaped = false

    init(quote: Unicode.Scalar) { self.quote = quote }

    /// Takes scalars up to the closing quote; what follows it, or nil when it is not in the text.
    mutating func take(_ text: Substring) -> Substring? {
        for index in text.unicodeScalars.indices {
            let scalar = text.unicodeScalars[index]
            if isEscaped {
                isEscaped = false
                let scalars = unescaped(scalar)
                if scalars.count == 1 { hasEscape = true }
                value.unicodeScalars.append(contentsOf: scalars)
            } else if scalar == "\\" {
                isEscaped = true
            } else if scalar == quote {
                return Substring(text.unicodeScalars[index...].dropFirst())
            } else {
                value.unicodeScalars.append(scalar)
            }
        }
        if isEscaped { value.unicodeScalars.append("\\") }
        isEscaped = false
        return nil
    }

    private func unescaped(_ scalar: Unicode.Scalar) -> [Unicode.Scalar] {
        if scalar == quote { return [scalar] }
        guard quote == "\"" else { return ["\\", scalar] }
        switch scalar {
        case "n": return ["\n"]
        case "r": return ["\r"]
        case "t": return ["\t"]
        case "\\", "$": return [scalar]
        default: return ["\\", scalar]
        }
    }
}
