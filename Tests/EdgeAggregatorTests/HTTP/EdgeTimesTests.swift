import Testing

@testable import EdgeAggregator

@Suite struct EdgeTimesTests {
    @Test func writesAndReadsTimes() {
        // `date -u -d @1763688464.75 +%FT%T.%3NZ`
        #expect(ISOTime.text(1_763_688_464_750_000_000) == "2025-11-21T01:27:44.750Z")
        #expect(ISOTime.text(-1) == "1969-12-31T23:59:59.999Z")
        #expect(ISOTime.nanoseconds("2025-11-21T01:27:44.75Z") == 1_763_688_464_750_000_000)
        #expect(ISOTime.nanoseconds("2025-11-21") == 1_763_683_200_000_000_000)
        #expect(ISOTime.nanoseconds("1763688464.75") == 1_763_688_464_750_000_000)
        for text in ["tomorrow", "\(Int64.min)", "\(Int64.max)", "9999-12-31", "0001-01-01", "-"] {
            #expect(ISOTime.nanoseconds(text) == nil, "\(text)")
        }
        #expect(ISOTime.nanoseconds("2025-11-21T01:27:44+02:00") == nil)
    }

    @Test func readsRanges() {
        #expect(FileDownload.range("bytes=0-3", size: 10) == 0..<4)
        #expect(FileDownload.range("bytes=5-", size: 10) == 5..<10)
        #expect(FileDownload.range("bytes=-3", size: 10) == 7..<10)
        #expect(FileDownload.range("bytes=8-99", size: 10) == 8..<10)
        #expect(FileDownload.range("bytes=10-11", size: 10) == nil)
        #expect(FileDownload.range("bytes=4-3", size: 10) == nil)
        #expect(FileDownload.range("lines=1-2", size: 10) == nil)
    }

    @Test func namesAreUniqueAndNeverLieAboutTheFuture() {
        let names = RecordingNames(isTaken: { $0 == "a_20251121T012744Z-2.wav" }, latestSecond: { _ in nil })
        let second: Int64 = 1_763_688_464_000_000_000
        let name = { (start: Int64) in
            names.name(for: "a", startNanoseconds: start, nowNanoseconds: second, fileExtension: "wav")
        }
        #expect(name(second) == "a_20251121T012744Z.wav")
        // Taken already, by a former life of the box.
        #expect(name(second + 5) == "a_20251121T012744Z-3.wav")
        // An hour ahead of the clock.
        #expect(name(second + 3_600_000_000_000) == "a_20251121T012744Z-4.wav")
        #expect(name(second - 1) == "a_20251121T012743Z.wav")
    }

    /// A recording that was too short is removed at once, while its row is still on its way to the store.
    @Test func givesNoNameTwiceThatIsNeitherOnDiskNorInTheStore() {
        let names = RecordingNames(isTaken: { _ in false }, latestSecond: { _ in "" })
        let second: Int64 = 1_000_000_000
        let start = 1_763_688_464 * second
        var given: Set<String> = []
        // Two sessions of one listener whose recordings begin by turns; then more seconds than are cached, and again.
        let starts = [0, 1, 0, 1, 0] + (0..<700).map { Int64($0) } + [3, 3, 650, 699, 0]
        for offset in starts {
            let name = names.name(
                for: "a", startNanoseconds: start + offset * second, nowNanoseconds: .max, fileExtension: "wav")
            let isNew = given.insert(name).inserted
            #expect(isNew, "\(name)")
        }
        // More listeners than are cached.
        for round in 0..<2 {
            for listener in 0..<5000 {
                let name = names.name(
                    for: "l\(listener)", startNanoseconds: start, nowNanoseconds: .max, fileExtension: "wav")
                let isNew = given.insert(name).inserted
                #expect(isNew, "round \(round): \(name)")
            }
        }
    }

    @Test func asksForTakenNamesOnlyWhereOneCanBe() {
        // A box that had recorded up to 01:27:44 before it started again.
        let names = RecordingNames(
            isTaken: { $0.contains("T012744Z") && !$0.hasSuffix("-2.wav") }, latestSecond: { _ in "20251121T012744Z" })
        let second: Int64 = 1_763_688_464_000_000_000
        let name = { (start: Int64) in
            names.name(for: "a", startNanoseconds: start, nowNanoseconds: .max, fileExtension: "wav")
        }
        #expect(name(second) == "a_20251121T012744Z-2.wav")
        #expect(name(second + 20_000_000_000) == "a_20251121T012804Z.wav")
        #expect(name(second + 20_000_000_000) == "a_20251121T012804Z-2.wav")
        #expect(name(second - 1_000_000_000) == "a_20251121T012743Z.wav")
    }
}
