/// Splitting of text from files, peers and people.
///
/// A Swift `Character` is a grapheme cluster: `"\r\n"` is one, and so is a comma with a combining mark after it. A search for the
/// Character `"\n"` or `","` misses both. Here separators are found byte by byte. Every separator is ASCII, whose bytes stand for
/// nothing else in UTF-8, so that a part never begins or ends within a scalar.
extension Substring {
    /// Splits at each separator.
    ///
    /// - Parameters:
    ///   - separator: an ASCII character.
    ///   - maximumSplits: the rest after so many splits stays in one part.
    public func parts(
        at separator: Unicode.Scalar, maximumSplits: Int = .max, omittingEmpty: Bool = true
    ) -> [Substring] {
        utf8.split(
            separator: UInt8(ascii: separator), maxSplits: maximumSplits, omittingEmptySubsequences: omittingEmpty
        ).map { Substring($0) }
    }

    /// Splits at each occurrence of ASCII text, which is not empty.
    public func parts(atText separator: String, omittingEmpty: Bool = true) -> [Substring] {
        var parts: [Substring] = []
        var rest = self
        while let (before, after) = rest.halves(at: separator) {
            if !omittingEmpty || !before.isEmpty { parts.append(before) }
            rest = after
        }
        if !omittingEmpty || !rest.isEmpty { parts.append(rest) }
        return parts
    }

    /// Splits at line feeds, carriage returns and pairs of them; a pair ends one line. A line end at the end begins no line.
    public func lines(omittingEmpty: Bool = true) -> [Substring] {
        var lines: [Substring] = []
        var rest = utf8
        while let end = rest.firstIndex(where: { $0 == 0x0A || $0 == 0x0D }) {
            let line = rest[..<end]
            if !omittingEmpty || !line.isEmpty { lines.append(Substring(line)) }
            let isReturn = rest[end] == 0x0D
            rest = rest[rest.index(after: end)...]
            if isReturn, rest.first == 0x0A { rest = rest.dropFirst() }
        }
        if !rest.isEmpty { lines.append(Substring(rest)) }
        return lines
    }

    /// Splits at white space of any length.
    public func words() -> [Substring] {
        unicodeScalars.split(whereSeparator: \.properties.isWhitespace).map { Substring($0) }
    }

    /// The text before and after the first separator; nil when there is none.
    ///
    /// - Parameter separator: ASCII text, not empty.
    public func halves(at separator: String) -> (before: Substring, after: Substring)? {
        let wanted = separator.utf8
        guard let first = wanted.first else { return nil }
        var rest = utf8
        while let start = rest.firstIndex(of: first) {
            rest = rest[start...]
            if rest.starts(with: wanted) {
                return (Substring(utf8[..<start]), Substring(rest.dropFirst(wanted.count)))
            }
            rest = rest.dropFirst()
        }
        return nil
    }

    /// The text before and after the last separator; nil when there is none.
    public func halves(atLast separator: Unicode.Scalar) -> (before: Substring, after: Substring)? {
        guard let found = utf8.lastIndex(of: UInt8(ascii: separator)) else { return nil }
        return (Substring(utf8[..<found]), Substring(utf8[utf8.index(after: found)...]))
    }

    /// The text before the first separator; all of it when there is none.
    public func before(_ separator: Unicode.Scalar) -> Substring {
        let separator = UInt8(ascii: separator)
        return Substring(utf8.prefix { $0 != separator })
    }

    /// Whether ASCII text occurs.
    public func holds(_ text: String) -> Bool { halves(at: text) != nil }

    /// Whether it begins with exactly these bytes.
    public func begins(with text: String) -> Bool { utf8.starts(with: text.utf8) }

    /// Without white space at both ends.
    public var trimmed: Substring {
        var scalars = unicodeScalars
        while scalars.first?.properties.isWhitespace == true { scalars.removeFirst() }
        while scalars.last?.properties.isWhitespace == true { scalars.removeLast() }
        return Substring(scalars)
    }

    /// With other text in place of each occurrence of ASCII text.
    public func replacingText(_ text: String, with other: String) -> String {
        var result = ""
        var rest = self
        while let (before, after) = rest.halves(at: text) {
            result += before
            result += other
            rest = after
        }
        return result + rest
    }

    /// Without the byte order mark that editors of Windows put at the beginning of a file.
    public var withoutByteOrderMark: Substring {
        unicodeScalars.first == "\u{FEFF}" ? Substring(unicodeScalars.dropFirst()) : self
    }
}

/// As of ``Swift/Substring``.
extension String {
    public func parts(
        at separator: Unicode.Scalar, maximumSplits: Int = .max, omittingEmpty: Bool = true
    ) -> [Substring] {
        self[...].parts(at: separator, maximumSplits: maximumSplits, omittingEmpty: omittingEmpty)
    }

    public func parts(atText separator: String, omittingEmpty: Bool = true) -> [Substring] {
        self[...].parts(atText: separator, omittingEmpty: omittingEmpty)
    }

    public func lines(omittingEmpty: Bool = true) -> [Substring] { self[...].lines(omittingEmpty: omittingEmpty) }

    public func words() -> [Substring] { self[...].words() }

    public func halves(at separator: String) -> (before: Substring, after: Substring)? {
        self[...].halves(at: separator)
    }

    public func halves(atLast separator: Unicode.Scalar) -> (before: Substring, after: Substring)? {
        self[...].halves(atLast: separator)
    }

    public func before(_ separator: Unicode.Scalar) -> Substring { self[...].before(separator) }

    public func holds(_ text: String) -> Bool { self[...].holds(text) }

    public func begins(with text: String) -> Bool { self[...].begins(with: text) }

    public var trimmed: Substring { self[...].trimmed }

    public func replacingText(_ text: String, with other: String) -> String {
        self[...].replacingText(text, with: other)
    }

    public var withoutByteOrderMark: Substring { self[...].withoutByteOrderMark }
}
