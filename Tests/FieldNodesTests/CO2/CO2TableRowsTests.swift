import FieldNodes
import Testing

/// Rows of the replaced server's tables, as its import made them of the same lines.
struct CO2TableRowsTests {
    private func reading(_ text: String) -> [String?]? { CO2TableRows.reading(Array(text.utf8)[...]) }

    @Test func readingsHaveSixteenColumnsWhateverTheUnitSent() {
        let values = (1...10).map { "\($0)00" }
        let line = (["co2unit-ab", "van", "2019-07-31", "13:00:10", "23.4375", "1"] + values).joined(separator: "\t")
        let row: [String?] = ["co2unit-ab", "van", "2019-07-31", "13:00:10", "23.4375", "1"] + values
        #expect(reading(line) == row)
        #expect(reading("\(line)\r") == row)
        #expect(reading("\(line)\t229\t32274\t31179\t32989\t18373") == row)
        // What is missing at the end of a line that was cut is NULL, and so are a missing number and what a cut has left of `None`.
        let cut = "co2unit-ab\tNICK\t2019-07-31\t13:00:10\tNone\t\t680\tNo"
        #expect(
            reading(cut)
                == ["co2unit-ab", nil, "2019-07-31", "13:00:10", nil, nil, "680"] + Array(repeating: nil, count: 9))
    }

    @Test(arguments: [
        "unit7\tvan\t2019-07-31\t13:00:10", "co2unit-ab\tvan\t1970-01-01\t00:00:10",
        "co2unit-ab\tv\u{0}n\t2019-07-31\t13:00:10", "co2unit-ab\tv\u{1b}[2Jn\t2019-07-31\t13:00:10", "",
    ])
    func leavesOutWhatTheImportLeftOut(_ line: String) {
        #expect(reading(line) == nil)
    }

    @Test func bytesThatAreNoTextAreLeftOut() {
        #expect(CO2TableRows.reading((Array("co2unit-ab\t".utf8) + [0xFF, 0xFE])[...]) == nil)
        // A comma, tab or letter with a combining mark is text, and a tab stays a separator.
        #expect(reading("co2unit-ab\t\u{301}x\t2019-07-31")?[1] == "\u{301}x")
    }

    @Test func entriesOfLogsHaveTheLastGoodTime() {
        var rows = CO2ErrorRows(unit: "co2unit-ab")
        #expect(
            rows.add("----- 1970-01-01 00:00:05 INFO  booted")
                == ["co2unit-ab", "", "", "", "1970-01-01", "00:00:05", "INFO", "booted"])
        #expect(
            rows.add("----- (2019, 7, 2, 3, 1, 4, 4, 298) EXC  Uncaught exception at top level")
                == [
                    "co2unit-ab", "2019-07-02", "03:01:04", "uncaught", "2019-07-02", "03:01:04", "EXC",
                    "Uncaught exception at top level",
                ])
        #expect(rows.add("Traceback (most recent call last):") == nil)
        #expect(
            rows.add("----- 1970-01-01 00:00:09 WARN  Signal quality low, backoff 3")
                == [
                    "co2unit-ab", "2019-07-02", "03:01:04", "backoff", "1970-01-01", "00:00:09", "WARN",
                    "Signal quality low, backoff 3",
                ])
        // The oldest units have the message on the next line.
        #expect(rows.add("----- (2019, 10, 25, 3, 11, 24, 4, 298)") == nil)
        #expect(
            rows.add("Watch dog reset")
                == [
                    "co2unit-ab", "2019-10-25", "03:11:24", "watchdog", "2019-10-25", "03:11:24", "EXC",
                    "Watch dog reset",
                ])
        #expect(rows.add("----- (2019, 10, 25, 3, 11, 25, 4, 298)") == nil)
        #expect(rows.end()?[5] == "03:11:25")
        #expect(rows.end() == nil)
    }

    @Test func deploymentsLoseCommentsAndBlankLines() {
        #expect(CO2TableRows.deployment("# a comment") == nil)
        #expect(CO2TableRows.deployment("  \t ") == nil)
        #expect(
            CO2TableRows.deployment("co2unit-ab\tvan\tridge\t8\tdeployed\t2019-08-01T00:00:00\t\tnote # more")
                == ["co2unit-ab", "van", "ridge", "8", "deployed", "2019-08-01T00:00:00", nil, "note "])
        #expect(CO2TableRows.deployment("co2unit-ab\tvan")?.count == 8)
    }

    @Test func pingsHaveASecondAndAFraction() {
        let times = CO2TableRows.pingTimes(nanoseconds: 1_570_418_619_980_794_000)
        #expect(times.stamp == "2019-10-07T03:23:39")
        #expect(times.date == "2019-10-07")
        #expect(times.time == "03:23:39.980794")
    }
}
