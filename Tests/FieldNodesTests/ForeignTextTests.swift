import Testing

@testable import FieldNodes

/// Files that were edited on Windows, and text with a combining mark after a separator, which Swift takes for one Character.
@Suite struct ForeignTextTests {
    @Test(arguments: ["\n", "\r\n", "\r"], ["", "\u{FEFF}"])
    func deploymentsHaveAnyLineEndAndAByteOrderMark(end: String, byteOrderMark: String) {
        let lines = [
            "unit_id\tnickname\tsite\ttier\tstatus\tstart_ts\tend_ts\tnote", "# a comment", "",
            "co2unit-30aea42a5140\t\u{301}Erna\tupper slope\t2\tdeployed\t2019-09-16\t\ta, b",
        ]
        let tiers = DeployTier.all(byteOrderMark + lines.joined(separator: end) + end)
        #expect(tiers.count == 1)
        #expect(tiers.first?.unitID == "co2unit-30aea42a5140")
        #expect(tiers.first?.nickname == "\u{301}Erna")
        #expect(tiers.first?.tier == 2)
        // `date -u -d 2019-09-16 +%s`
        #expect(tiers.first?.startSeconds == 1_568_592_000)
        #expect(tiers.first?.note == "a, b")
    }

    @Test func pingsWithAMarkAfterTheTab() throws {
        let read = try #require(Ping.parse("2026-11-21T01:24:01\tco2unit-1\t\u{301}Erna\t20\t-73"))
        #expect(read.ping.nickname == "\u{301}Erna")
        #expect(read.ping.rssiDBm == -73)
        // A nickname is bounded by scalars: one Character may have any number of them.
        let marks = String(String.UnicodeScalarView([Unicode.Scalar("a")] + Array(repeating: "\u{301}", count: 10_000)))
        let long = Ping(unitID: "co2unit-1", nickname: marks, rssiRaw: nil, rssiDBm: nil)
        #expect(long.nickname?.unicodeScalars.count == 64)
    }

    @Test func errorsWithAMarkAfterTheirSeparators() {
        let entry = CO2ErrorEntry(
            line: "----- (2019, 10, 25, 3, 11, 24, 4, 298)\u{301} WARN  \u{301}Poor signal", next: nil)
        // `date -u -d '2019-10-25 03:11:24' +%s`
        #expect(entry.timeSeconds == 1_571_973_084)
        #expect(entry.message.contains("Poor signal"))
        let marks = String(String.UnicodeScalarView([Unicode.Scalar("a")] + Array(repeating: "\u{301}", count: 10_000)))
        #expect(CO2ErrorEntry(line: "----- \(marks)", next: nil).message.unicodeScalars.count <= 300)
    }

    @Test func topicsAndPathsWithAMarkAfterTheSlash() {
        #expect(ISEMSTopic("isems/\u{301}node/csvlog")?.nodeID == "\u{301}node")
        #expect(PushPath("data/\u{301}x") == nil)
    }

    @Test(arguments: ["\n", "\r\n", "\r"])
    func aLogWithAByteOrderMark(end: String) {
        let line = "node1;r1;1700000000;fw;3600;0;20.5;17.8;12.6;80;90;21.5;11.9;14.1;100;50;69.5;30.1;0x0"
        let (readings, rejected) = ISEMSReading.all("\u{FEFF}" + [line, line].joined(separator: end) + end)
        #expect(rejected.isEmpty)
        #expect(readings.map(\.nodeID) == ["node1", "node1"])
    }
}
