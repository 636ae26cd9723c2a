import Testing
import TextParts

/// U+0301 makes one Character of itself and what is before it; U+000D U+000A are one (Unicode Standard Annex 29, GB3 and GB9).
@Suite struct TextPartsTests {
    @Test func separatorsAreFoundBeforeACombiningMark() {
        #expect("a,\u{301}b,c".parts(at: ",") == ["a", "\u{301}b", "c"])
        #expect(",a,,b".parts(at: ",") == ["a", "b"])
        #expect(",a,,b".parts(at: ",", omittingEmpty: false) == ["", "a", "", "b"])
        #expect("a=b=c".parts(at: "=", maximumSplits: 1) == ["a", "b=c"])
        #expect("a\r\n\u{301}b\r\n".parts(atText: "\r\n", omittingEmpty: false) == ["a", "\u{301}b", ""])
        #expect("a=\u{301}b=c".halves(at: "=").map { [$0.before, $0.after] } == ["a", "\u{301}b=c"])
        #expect("a:/://\u{301}b".halves(at: "://").map { [$0.before, $0.after] } == ["a:/", "\u{301}b"])
        #expect("a.b.\u{301}c".halves(atLast: ".").map { [$0.before, $0.after] } == ["a.b", "\u{301}c"])
        #expect("abc".halves(at: "=") == nil)
        #expect("a/\u{301}b".before("/") == "a")
        #expect("a/\u{301}b".holds("/"))
        #expect("#\u{301}".begins(with: "#"))
        #expect("\"\u{301}\"".replacingText("\"", with: "&quot;") == "&quot;\u{301}&quot;")
    }

    /// A scalar of more than one byte is never cut.
    @Test func otherLettersStay() {
        #expect("\u{1F426},\u{E9},\u{4E2D}".parts(at: ",") == ["\u{1F426}", "\u{E9}", "\u{4E2D}"])
        #expect("\u{A0}\u{E9}\u{2003}".trimmed == "\u{E9}")
    }

    /// The same text with the line ends of Unix, Windows and old Macs.
    @Test(arguments: ["\n", "\r\n", "\r"]) func linesHaveAnyEnd(end: String) {
        let text = ["a", "", "\u{301}b", ""].joined(separator: end)
        #expect(text.lines() == ["a", "\u{301}b"])
        #expect(text.lines(omittingEmpty: false) == ["a", "", "\u{301}b"])
    }

    @Test func wordsAndMarks() {
        #expect(" a\t b\r\n\u{A0}c ".words() == ["a", "b", "c"])
        #expect("\u{FEFF}a".withoutByteOrderMark == "a")
        #expect("a\u{FEFF}".withoutByteOrderMark == "a\u{FEFF}")
    }
}
