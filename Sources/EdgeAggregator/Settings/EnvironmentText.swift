/// Values of the real environment.
enum EnvironmentText {
    /// The text without the quotes around it: `docker run --env-file` keeps them.
    ///
    /// Quotes that are not one pair around all of it stay: `"a","b"` is a list.
    static func unquoted(_ text: String) -> String {
        let bytes = text.utf8
        guard bytes.count >= 2, let quote = bytes.first, quote == bytes.last,
            quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'")
        else { return text }
        let inner = bytes.dropFirst().dropLast()
        return inner.contains(quote) ? text : String(Substring(inner))
    }
}
