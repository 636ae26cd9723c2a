/// Both texts of a reading in the one that is stored with its numbers: `1;ATmega8_A_1`.
///
/// Earlier versions stored an empty text for one that was not sent. So nothing between the separators stays "not sent", and a
/// text that was sent empty, and characters that would be misread, are written with an escape character (U+001B) before them.
extension ISEMSReading {
    private static let escape: Unicode.Scalar = "\u{1B}"
    private static let empty: Unicode.Scalar = "e"
    private static let semicolon: Unicode.Scalar = "s"

    /// As it is stored.
    public var storedTexts: String { "\(Self.stored(revision));\(Self.stored(firmware))" }

    /// What ``storedTexts`` was made of; nil for what the node has not sent.
    public static func texts(stored: String?) -> (revision: String?, firmware: String?) {
        let parts = (stored ?? "").unicodeScalars.split(
            separator: ";", maxSplits: 1, omittingEmptySubsequences: false)
        return (parts.first.flatMap(text(stored:)), parts.count > 1 ? text(stored: parts[1]) : nil)
    }

    private static func stored(_ text: String?) -> String {
        guard let text else { return "" }
        var stored = String.UnicodeScalarView()
        if text.isEmpty { stored += [escape, empty] }
        for scalar in text.unicodeScalars {
            switch scalar {
            case escape: stored += [escape, escape]
            case ";": stored += [escape, semicolon]
            default: stored.append(scalar)
            }
        }
        return String(stored)
    }

    private static func text(stored: Substring.UnicodeScalarView) -> String? {
        guard !stored.isEmpty else { return nil }
        var text = String.UnicodeScalarView()
        var isEscaped = false
        for scalar in stored {
            if isEscaped {
                isEscaped = false
                if scalar == escape { text.append(escape) }
                if scalar == semicolon { text.append(";") }
            } else if scalar == escape {
                isEscaped = true
            } else {
                text.append(scalar)
            }
        }
        return String(text)
    }
}
