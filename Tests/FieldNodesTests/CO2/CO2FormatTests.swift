import FieldNodes
import Foundation
import Testing

/// Lines as units and the former server have written them.
struct CO2FormatTests {
    private static let old =
        "co2unit-30aea42a50bc\tvaranger-03\t2019-07-31\t13:00:10\t23.4375\t1\t680\t700\t710\t710\t700\t690\t700\t700\t700\t700"

    @Test func readsLinesOfSixteenAndTwentyOneColumns() throws {
        let reading = try CO2Reading(line: Self.old[...])
        #expect(reading.unitID == "co2unit-30aea42a50bc")
        #expect(reading.nickname == "varanger-03")
        // date -u -d '2019-07-31 13:00:10' +%s
        #expect(reading.timeSeconds == 1_564_578_010)
        #expect(reading.temperatureCelsius == 23.4375)
        #expect(reading.flashes == 1)
        #expect(reading.co2PPM == [680, 700, 710, 710, 700, 690, 700, 700, 700, 700])
        #expect(reading.raw == [nil, nil, nil, nil, nil])
        // (710 + 710 + 700 + 690 + 700 + 700 + 700 + 700) / 8
        #expect(reading.meanCO2PPM == 701.25)
        let new = try CO2Reading(line: (Self.old + "\t229\t32274\t31179\t32989\t18373")[...])
        #expect(new.raw == [229, 32274, 31179, 32989, 18373])
        #expect(new.values.count == CO2Reading.layout.count)
    }

    @Test func missesWhatIsMissing() throws {
        let line =
            "co2unit-1\tMYNICK\t2019-07-31\t13:00:10\tNone\tNone\t0\t200010\tNone\tNone\tNone\t500\t200010\t0\tNone\tNone"
        let reading = try CO2Reading(line: line[...])
        #expect(reading.nickname == nil)
        #expect(reading.temperatureCelsius == nil && reading.flashes == nil)
        // Neither the two of the warm-up count, nor 0 and the top of the range.
        #expect(reading.meanCO2PPM == 500)
        let nothing = "co2unit-1\t\t2019-07-31\t13:00:10" + String(repeating: "\tNone", count: 12)
        #expect(try CO2Reading(line: nothing[...]).meanCO2PPM == nil)
    }

    @Test func takesWhatIsLeftOfALineThatIsCut() throws {
        for (cut, temperature, count) in [
            ("co2unit-1\tn\t2019-07-31\t13:00:10\t23.5\t1\t680\t70", 23.5, 1),
            ("co2unit-1\tn\t2019-07-31\t13:00:10\t23.5\tN", 23.5, 0),
            ("co2unit-1\tn\t2019-07-31\t13:00:10\t2", nil, 0), ("co2unit-1\tn\t2019-07-31\t13:00:10", nil, 0),
        ] as [(String, Double?, Int)] {
            let reading = try CO2Reading(line: cut[...], isCut: true)
            #expect(reading.temperatureCelsius == temperature, "\(cut)")
            // The last number may have lost digits.
            #expect(reading.co2PPM.compactMap { $0 }.count == count, "\(cut)")
            #expect(throws: RejectedLine.self) { try CO2Reading(line: cut[...]) }
        }
        #expect(throws: RejectedLine.self) { try CO2Reading(line: "co2unit-1\tn\t2019-07-3", isCut: true) }
    }

    @Test(arguments: [
        "", "co2unit-1", Self.old.replacing("13:00:10", with: "25:00:10"),
        Self.old.replacing("2019-07-31", with: "2019-02-29"), Self.old.replacing("2019-07-31", with: "9999-07-31"),
        Self.old.replacing("23.4375", with: "warm"), Self.old.replacing("varanger", with: "var\u{1}nger"),
        Self.old.replacing("co2unit-30", with: "../30"), Self.old.replacing("680", with: "inf"),
    ])
    func refusesLinesThatAreNone(line: String) {
        #expect(throws: RejectedLine.self) { try CO2Reading(line: line[...]) }
    }

    @Test func tellsClocksThatWereNotSet() {
        let line = Self.old.replacing("2019-07-31", with: "1970-01-01")
        #expect(throws: CO2Reading.NoClock.self) { try CO2Reading(line: line[...]) }
    }

    @Test func readsErrorLogsOfAllAges() {
        let new = CO2ErrorEntry(
            line: "----- 2019-09-16 10:55:57 EXC   Uncaught exception at top level",
            next: "Traceback (most recent call last):")
        // date -u -d '2019-09-16 10:55:57' +%s
        #expect(new.timeSeconds == 1_568_631_357)
        #expect(new.level == "EXC" && new.type == "uncaught" && new.message == "Uncaught exception at top level")
        let old = CO2ErrorEntry(line: "----- (2019, 10, 25, 3, 11, 24, 4, 298) WARN  Poor signal quality", next: nil)
        // date -u -d '2019-10-25 03:11:24' +%s
        #expect(old.timeSeconds == 1_571_973_084)
        #expect(old.level == "WARN" && old.type == "signal")
        let oldest = CO2ErrorEntry(line: "----- (1970, 1, 1, 0, 0, 4, 3, 1)", next: "Watchdog reset")
        #expect(oldest.timeSeconds == nil && oldest.level.isEmpty && oldest.type == "watchdog")
        #expect(oldest.message == "Watchdog reset")
        #expect(!CO2ErrorEntry.begins("Traceback (most recent call last):"))
    }

    @Test func writesPingsAsTheFormerServer() throws {
        let ping = Ping(unitID: "co2unit-30aea42a5140", nickname: "varanger-03", rssiRaw: "8", rssiDBm: "-97")
        // date -u -d '2026-11-21 01:24:01' +%s
        let line = ping.line(nanoseconds: 1_795_224_241_564_991_000)
        #expect(line == "2026-11-21T01:24:01.564991\tco2unit-30aea42a5140\tvaranger-03\t8\t-97")
        let bare = Ping(unitID: "x", nickname: nil, rssiRaw: "99", rssiDBm: nil)
        #expect(bare.line(nanoseconds: 1_795_224_241_000_000_000) == "2026-11-21T01:24:01\tx\tNone\t99\tNone")
        let read = try #require(Ping.parse(line))
        #expect(read.ping == ping && read.nanoseconds == 1_795_224_241_564_991_000)
        // 3GPP TS 27.007: 0, 1, 2…30 and 31.
        #expect(
            ["0", "1", "2", "30", "31"].map { Ping(unitID: "x", nickname: nil, rssiRaw: $0, rssiDBm: nil).rssiDBm }
                == [-113, -111, -109, -53, -51])
    }

    @Test func numbersFilesBeyondTenThousand() {
        let files = FileSequence(prefix: "readings-", suffix: ".tsv")
        #expect(files.name(7) == "readings-0007.tsv" && files.name(10_000) == "readings-10000.tsv")
        #expect(
            files.last(of: ["readings-9999.tsv", "readings-10000.tsv", "readings-.tsv", "x"]) == "readings-10000.tsv")
        #expect(files.number(of: "readings-00a0.tsv") == nil)
    }

    @Test func readsTiers() {
        let text = """
            unit_id\tnickname\tsite\ttier\tstatus\tstart_ts\tend_ts\tnote
            # a comment

            co2unit-1\tvaranger-03\tupper\t3\tdeployed\t2019-07-31T10:00:00\t\tfine
            ../x\tn\ts\t1\tdeployed\t\t\t
            """
        let tiers = DeployTier.all(text)
        #expect(tiers.count == 1)
        #expect(tiers.first?.tier == 3 && tiers.first?.startSeconds == 1_564_567_200 && tiers.first?.endSeconds == nil)
    }

    @Test func drawsWhatWasMeasured() {
        let strips = [
            TierPlot.Strip(label: "low <1>", tier: 1, points: [(0, 400), (1800, 500), (90_000, 600)]),
            TierPlot.Strip(label: "high", tier: 9, points: []),
        ]
        let svg = TierPlot(title: "CO2", unit: "ppm", range: 0...100_000, binSeconds: 3600, strips: strips).svg
        // The highest tier on top; one hour's mean of 400 and 500, and the line broken where hours are missing.
        #expect(svg.range(of: "high")!.lowerBound < svg.range(of: "low &lt;1&gt;")!.lowerBound)
        #expect(svg.contains("450 to 600, last 600 ppm"))
        #expect(svg.components(separatedBy: "h0.01").count == 3)
    }
}
