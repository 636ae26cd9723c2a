import EdgeTesting
import Foundation
import Logging
import Testing

@testable import EdgeAggregator

/// The newest lines of the log in two files.
@Suite struct LogFileTests {
    private func sizes(_ folder: String) -> [Int] {
        ["edge-aggregator.log", "edge-aggregator.log.1"].compactMap {
            (try? FileManager.default.attributesOfItem(atPath: "\(folder)/\($0)"))?[.size] as? Int
        }
    }

    @Test func keepsTheNewestLinesWithinItsMaximum() throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        let file = LogFile(folder: "\(folder)/logs", maximumBytes: 100_000)
        for number in 0..<5000 {
            file.write("line \(number) \(String(repeating: "x", count: number % 100))")
            #expect(sizes("\(folder)/logs").reduce(0, +) <= 100_000)
        }
        let text = try #require(LogFile.text(in: "\(folder)/logs"))
        let numbers = text.split(separator: "\n").compactMap { Int($0.split(separator: " ")[1]) }
        // At least one whole file, without a hole, up to the last line.
        #expect(text.utf8.count > 40_000 && numbers.last == 4999)
        #expect(numbers == Array((numbers.first ?? 0)...4999))
    }

    /// The next run goes on where the one before ended.
    @Test func goesOnAfterAnotherRun() throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        LogFile(folder: folder, maximumBytes: 100_000).write("first run")
        LogFile(folder: folder, maximumBytes: 100_000).write("second run")
        #expect(LogFile.text(in: folder) == "first run\nsecond run\n")
        #expect(LogFile.text(in: "\(folder)/nowhere") == nil)
    }

    /// One that an earlier maximum allowed, or that another program left, does not stay beyond this one.
    @Test func takesALargeFileAsThePreviousOne() throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        try Data(repeating: 0x61, count: 1_000_000).write(to: URL(fileURLWithPath: "\(folder)/edge-aggregator.log"))
        let file = LogFile(folder: folder, maximumBytes: 65_536)
        for number in 0..<2000 { file.write("line \(number) with enough text to fill both files twice") }
        #expect(sizes(folder).reduce(0, +) <= 65_536)
    }

    @Test func cutsALineThatIsLongerThanAFile() throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        // Less than the smallest maximum counts as that: 65,536.
        let file = LogFile(folder: folder, maximumBytes: 1)
        file.write(String(repeating: "é", count: 100_000))
        file.write("after")
        #expect(sizes(folder).allSatisfy { $0 <= 32_768 } && sizes(folder).count == 2)
        #expect(LogFile.text(in: folder)?.hasSuffix("\nafter\n") == true)
    }

    /// What could not be written is counted, and said where it is missing.
    @Test func tellsHowManyLinesAreMissing() throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        let file = LogFile(folder: "\(folder)/logs", maximumBytes: 100_000, retryDelay: .zero)
        file.write("before")
        // The folder becomes a file: neither of them can be opened.
        try FileManager.default.moveItem(atPath: "\(folder)/logs", toPath: "\(folder)/aside")
        try Data().write(to: URL(fileURLWithPath: "\(folder)/logs"))
        // Whoever has the file open goes on; a rotation has to open one.
        let line = String(repeating: "x", count: 30_000)
        for _ in 0..<3 { file.write(line) }
        try FileManager.default.removeItem(atPath: "\(folder)/logs")
        file.write("after")
        let lines = try #require(LogFile.text(in: "\(folder)/logs")).split(separator: "\n")
        let note = try #require(lines.first)
        #expect(note.contains(" lines of the log are missing here: "), "\(note)")
        let count = Int(note.split(separator: " ")[2]) ?? 0
        let kept = try String(contentsOfFile: "\(folder)/aside/edge-aggregator.log", encoding: .utf8)
        #expect(count > 0 && count + kept.split(separator: "\n").count == 4)
        #expect(lines.last == "after")
    }

    /// A disk that is short is left to what matters more.
    @Test func writesNothingToADiskThatIsShort() throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let disk = DiskGuard(
            recordingsFolder: folder, reserveBytes: .max / 4, metrics: StorageMetrics(), logger: silent)
        // Node data leaves at most 64 MB, so this is refused only on a disk that is nearly full; sound leaves all of the reserve.
        let permit = disk.permit(for: .sound, at: folder)
        let file = LogFile(folder: "\(folder)/logs", maximumBytes: 100_000, permit: permit, retryDelay: .zero)
        for number in 0..<10 { file.write("line \(number)") }
        #expect(!FileManager.default.fileExists(atPath: "\(folder)/logs"))
    }
}
