import FieldNodes
import Foundation
import Testing

@testable import EdgeAggregator

/// What CO2 units may keep: bytes and inodes, by unit and by address.
@Suite struct CO2AccountsTests {
    private static let limits = CO2Accounts.Limits(
        unit: CO2Usage(bytes: 1000, entries: 10), address: CO2Usage(bytes: 2500, entries: 25))

    private func unit(_ number: Int) throws -> NodeID { try #require(NodeID(.co2, "co2unit-\(number)")) }

    @Test func aUnitHasBytesAndInodes() throws {
        var accounts = CO2Accounts(limits: Self.limits)
        let unit = try unit(1)
        accounts.set(unit, CO2Usage(bytes: 900, entries: 9), at: .now)
        #expect(throws: CO2Accounts.Refusal.self) {
            try accounts.reserve(unit, CO2Usage(bytes: 101, entries: 0), fellows: [])
        }
        // What is rejected is not counted.
        try accounts.reserve(unit, CO2Usage(bytes: 100, entries: 1), fellows: [])
        // Files without a byte are not free.
        #expect(throws: CO2Accounts.Refusal.self) {
            try accounts.reserve(unit, CO2Usage(bytes: 0, entries: 1), fellows: [])
        }
        try accounts.reserve(unit, CO2Usage(), fellows: [])
    }

    @Test func theUnitsOfOneAddressShareALimit() throws {
        var accounts = CO2Accounts(limits: Self.limits)
        let units = try (0..<5).map { try unit($0) }
        for one in units { accounts.set(one, CO2Usage(), at: .now) }
        let fellows = Array(units.prefix(4))
        for one in fellows.prefix(2) { try accounts.reserve(one, CO2Usage(bytes: 1000, entries: 10), fellows: fellows) }
        #expect(throws: CO2Accounts.Refusal.self) {
            try accounts.reserve(fellows[2], CO2Usage(bytes: 501, entries: 0), fellows: fellows)
        }
        #expect(throws: CO2Accounts.Refusal.self) {
            try accounts.reserve(fellows[2], CO2Usage(bytes: 0, entries: 6), fellows: fellows)
        }
        try accounts.reserve(fellows[2], CO2Usage(bytes: 500, entries: 5), fellows: fellows)
        // One that the operator has named has its own alone.
        try accounts.reserve(units[4], CO2Usage(bytes: 1000, entries: 10), fellows: [])
    }

    @Test func copiesOfFilesAreBounded() throws {
        var accounts = CO2Accounts(limits: Self.limits)
        let unit = try unit(1)
        // Files as units have them, one change a second for ten minutes.
        for second in 0..<600 {
            let isTaken = accounts.takeCopy(unit, bytes: 102_400, nowNanoseconds: Int64(second) * 1_000_000_000)
            #expect(isTaken)
        }
        // A hundred pushes of a byte into a file of 100 MB.
        let other = try self.unit(2)
        let taken = (0..<100).count { _ in accounts.takeCopy(other, bytes: 100_000_000, nowNanoseconds: 0) }
        #expect(taken == 1)
        let isFree = accounts.takeCopy(other, bytes: 0, nowNanoseconds: 0)
        #expect(isFree)
    }

    @Test func countsAndRemovesWhatIsEmptyAndOld() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("edge-usage-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        func make(_ path: String, _ text: String, daysOld: Double) throws {
            let file = folder.appendingPathComponent(path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSinceNow: -86_400 * daysOld)], ofItemAtPath: file.path)
        }
        try make("a/old-empty", "", daysOld: 2)
        try make("a/new-empty", "", daysOld: 0)
        try make("a/old-full", "text", daysOld: 2)
        try make("b/c/old-empty", "", daysOld: 2)
        // The folder, a, b, b/c, and four files.
        #expect(FolderFiles.usage(of: folder.path) == CO2Usage(bytes: 4, entries: 8))
        for path in ["b/c", "b"] {
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSinceNow: -172_800)],
                ofItemAtPath: folder.appendingPathComponent(path).path)
        }
        let before = Int64((Date().timeIntervalSince1970 - 86_400) * 1e9)
        let hasRemoved = FolderFiles.removeEmpty(below: folder.path, before: before)
        #expect(hasRemoved)
        #expect(FolderFiles.all(below: folder.path).map(\.path) == ["a/new-empty", "a/old-full"])
        #expect(FolderFiles.usage(of: folder.path) == CO2Usage(bytes: 4, entries: 4))
        let removesMore = FolderFiles.removeEmpty(below: folder.path, before: before)
        #expect(!removesMore)
    }
}
