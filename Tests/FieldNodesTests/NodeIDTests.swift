import Testing

@testable import FieldNodes

@Suite struct NodeIDTests {
    /// Unicode, "Unicode Normalization Forms" (UAX #15), figure 3: U+212B, U+00C5 and U+0041 U+030A are canonically equivalent.
    @Test func namesAreComparedByTheirBytes() throws {
        let names = try ["\u{212B}", "\u{C5}", "A\u{30A}"].map { try #require(NodeID(.isems, $0)) }
        #expect(Set(names).count == 3)
        #expect(names[0] == NodeID(.isems, "\u{212B}") && names[0] != names[1])
        #expect(NodeID(.isems, "a") != NodeID(.piwardrive, "a"))
    }
}
