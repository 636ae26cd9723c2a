extension String {
    /// The text with what may be secret in its URLs and connection strings replaced by `[hidden]`: the user and password before the
    /// host (RFC 3986 §3.2.1), values of queries whose names speak of a secret, and `password=…` as libpq has it.
    ///
    /// Whatever prints an address, a setting or an error of a library uses this: settings, status, doctor, the log, reports and
    /// support bundles.
    public var hidingPasswords: String {
        // Almost every line of a log ends here.
        guard utf8.contains(UInt8(ascii: "@")) || utf8.contains(UInt8(ascii: "=")) else { return self }
        return HiddenPasswords.withoutValues(HiddenPasswords.withoutBareUsers(HiddenPasswords.withoutUsers(self)))
    }
}

enum HiddenPasswords {
    static let replacement = "[hidden]"

    /// Parts of names, in lower case.
    private static let secretNames = [
        "password", "passwd", "passwort", "pwd", "token", "secret", "signature", "credential", "api_key", "apikey",
        "access_key", "accesskey",
    ]

    /// Everything between `://` and the `@` before the host. A password may hold an `@`, and, though it must not, a slash.
    static func withoutUsers(_ text: String) -> String {
        var result = ""
        var rest = text[...]
        while let (before, after) = rest.halves(at: "://") {
            result += before
            result += "://"
            rest = after
            let address = Substring(after.utf8.prefix(while: isOfAddress))
            let authority = Substring(address.utf8.prefix { !"/?#".utf8.contains($0) })
            var part = authority.holds("@") || hasPort(authority) || !authority.holds(":") ? authority : address
            // What follows the colon is no port, so it begins a password, and a quote does not end it.
            if !address.holds("@"), authority.holds(":"), !hasPort(authority) {
                part = Substring(after.utf8.prefix { isOfAddress($0) || isQuote($0) })
            }
            guard let (_, host) = part.halves(atLast: "@") else { continue }
            result += replacement + "@"
            rest = rest[host.startIndex...]
        }
        return result + rest
    }

    /// `user:password@host` without a scheme, as proxies are written: where it is the whole text, or stands in quotes.
    static func withoutBareUsers(_ text: String) -> String {
        var result = ""
        var rest = text[...]
        var isBegin = true
        while !rest.isEmpty {
            let token = Substring(rest.utf8.prefix(while: isOfAddress))
            rest = rest[token.endIndex...]
            let isEnd = rest.isEmpty || rest.utf8.first.map(isQuote) == true
            if isBegin, isEnd, !token.holds("://"), let (user, host) = token.before("/").halves(atLast: "@"),
                user.holds(":")
            {
                result += replacement + "@" + host + token[host.endIndex...]
            } else {
                result += token
            }
            let others = Substring(rest.utf8.prefix { !isOfAddress($0) })
            isBegin = others.utf8.last.map(isQuote) == true
            result += others
            rest = rest[others.endIndex...]
        }
        return result
    }

    private static func isQuote(_ byte: UInt8) -> Bool { "\"'`".utf8.contains(byte) }

    /// Whether the text is `host` or `host:port`, with no beginning of a password after the colon.
    private static func hasPort(_ authority: Substring) -> Bool {
        guard let (_, port) = authority.halves(atLast: ":") else { return true }
        return port.utf8.allSatisfy { (0x30...0x39).contains($0) } || port.utf8.last == UInt8(ascii: "]")
    }

    /// The values that ``withoutValues(_:)`` hides, without their quotes.
    static func values(_ text: Substring) -> [String] {
        var values: [String] = []
        var rest = text
        while let (before, after) = rest.halves(at: "=") {
            rest = after
            let name = before.trimmed
            guard isSecret(name) else { continue }
            let value = Substring(after.unicodeScalars.drop { $0 == " " })
            let length = lengthOfValue(value, isOfQuery: isOfQuery(name))
            rest = Substring(value.utf8.dropFirst(length))
            let quotes = value.utf8.first.map(isQuote) == true ? 1 : 0
            values.append(String(Substring(value.utf8.prefix(length).dropFirst(quotes).dropLast(quotes))))
        }
        return values
    }

    /// `name=value` where the name speaks of a secret: of a query, or of a connection string, where the value may be quoted and the
    /// sign may have spaces around it.
    static func withoutValues(_ text: String) -> String {
        var result = ""
        var rest = text[...]
        while let equals = rest.utf8.firstIndex(of: UInt8(ascii: "=")) {
            let name = Substring(rest.utf8[..<equals]).trimmed
            let next = rest.utf8.index(after: equals)
            result += rest[..<next]
            rest = rest[next...]
            guard isSecret(name) else { continue }
            let value = Substring(rest.unicodeScalars.drop { $0 == " " })
            let length = lengthOfValue(value, isOfQuery: isOfQuery(name))
            guard length > 0 else { continue }
            result += replacement
            rest = Substring(value.utf8.dropFirst(length))
        }
        return result + rest
    }

    /// Whether the name at the end of the text speaks of a secret.
    private static func isSecret(_ text: Substring) -> Bool {
        let name = String(decoding: lastName(text).reversed(), as: UTF8.self)
        let lower = name.lowercased().replacingText("-", with: "_")
        return lower == "key" || lower == "sig" || lower == "auth" || secretNames.contains { lower.holds($0) }
    }

    /// Whether the name at the end of the text is of a query, whose values end at `&` and `#`.
    private static func isOfQuery(_ text: Substring) -> Bool {
        text.utf8.dropLast(lastName(text).count).last.map { "?&".utf8.contains($0) } ?? false
    }

    /// From its last byte.
    private static func lastName(_ text: Substring) -> [UInt8] {
        text.utf8.reversed().prefix(64).prefix { byte in
            UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
        }
    }

    /// In bytes.
    private static func lengthOfValue(_ text: Substring, isOfQuery: Bool) -> Int {
        let bytes = text.utf8
        guard let quote = bytes.first, quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else {
            return bytes.prefix { isOfAddress($0) && !(isOfQuery && "&#".utf8.contains($0)) }.count
        }
        var length = 1
        var isEscaped = false
        for byte in bytes.dropFirst() {
            length += 1
            if byte == quote, !isEscaped { return length }
            isEscaped = byte == UInt8(ascii: "\\") && !isEscaped
        }
        return length
    }

    /// Bytes that end no address in a text.
    private static func isOfAddress(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte != 0x7F && !"\"'`<>".utf8.contains(byte)
    }
}
