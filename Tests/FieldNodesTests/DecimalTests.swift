import EdgeTesting
import Testing

@testable import FieldNodes

/// The short way of reading numbers against the library's.
struct DecimalTests {
    @Test func agreesWithTheLibrary() {
        var random = SeededGenerator()
        for _ in 0..<20_000 {
            let whole = Int.random(in: -99_999...99_999, using: &random)
            let text = "\(whole).\(Int.random(in: 0...999_999_999, using: &random))"
            #expect(Decimal.value(text[...]) == Double(text), "\(text)")
        }
        for text in [
            "0", "-0.0", "14.073", "1.", ".5", "123456789012345", "1234567890123456789", "1e-5", "inf", "0x10",
        ] {
            #expect(Decimal.value(text[...]) == Double(text), "\(text)")
        }
        for text in ["", "-", ".", "1.2.3", "1-2", "--1", "1 ", "a", "٣"] {
            #expect(Decimal.value(text[...]) == nil, "\(text)")
        }
    }
}
