import EdgeTesting
import FieldNodes
import Foundation
import Logging
import Synchronization
import Testing

@testable import EdgeAggregator

/// What is acknowledged is in the unit's file, whatever lies beside it.
struct CO2DepotTests {
    private let folder: String
    private let reports = Reports()

    private final class Reports: Sendable {
        let lines = Mutex<[String]>([])
    }

    init() throws { folder = try TestFolders.temporary("edge-depot") }

    private func depot(_ limits: CO2Accounts.Limits = .init(), fellows: [NodeID] = []) -> CO2Depot {
        let disk = DiskGuard(
            recordingsFolder: folder, reserveBytes: 0, metrics: StorageMetrics(), logger: Logger(label: "test"))
        return CO2Depot(
            folder: "\(folder)/remote_data", limits: limits, permit: disk.permit(for: .nodeData, at: folder),
            fellows: { fellows.contains($0) ? fellows : [] },
            report: { [reports] line in reports.lines.withLock { $0.append(line) } },
            begunAnew: { _, _ in })
    }

    private func unit(_ name: String) throws -> NodeID { try #require(NodeID(.co2, name)) }
    private func path(_ text: String) throws -> PushPath { try #require(PushPath(text)) }

    private func stored(_ unit: String, _ path: String) -> [UInt8]? {
        FileManager.default.contents(atPath: "\(folder)/remote_data/\(unit)/\(path)").map { Array($0) }
    }

    private func put(_ unit: String, _ path: String, bytes: Int, daysOld: Double = 0) throws {
        let file = URL(fileURLWithPath: "\(folder)/remote_data/\(unit)/\(path)")
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(repeating: 65, count: bytes).write(to: file)
        for path in [file.path, file.deletingLastPathComponent().path] {
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSinceNow: -86_400 * daysOld)], ofItemAtPath: path)
        }
    }

    /// Earlier versions have left empty files. Those beside the one that is pushed go, and it stays.
    @Test func bytesForAnOldEmptyFileAreInIt() throws {
        defer { TestFolders.remove(folder) }
        for name in ["data/readings/a.tsv", "data/readings/b.tsv", "data/other/c.tsv"] {
            try put("u1", name, bytes: 0, daysOld: 2)
        }
        let outcome = try depot().push(try unit("u1"), try path("data/readings/a.tsv"), offset: 0, body: [1, 2, 3])
        #expect(outcome.verdict == .follows(skip: 0, acknowledged: 3) && outcome.hasChanged)
        #expect(stored("u1", "data/readings/a.tsv") == [1, 2, 3])
        #expect(stored("u1", "data/readings/b.tsv") == nil && stored("u1", "data/other/c.tsv") == nil)
    }

    /// The only file of its folder; and a new file in a folder that is removed because it is empty.
    @Test func foldersOfAPushAreThere() throws {
        defer { TestFolders.remove(folder) }
        try put("u1", "data/readings/a.tsv", bytes: 0, daysOld: 2)
        _ = try depot().push(try unit("u1"), try path("data/readings/a.tsv"), offset: 0, body: [1])
        #expect(stored("u1", "data/readings/a.tsv") == [1])
        try put("u2", "data/readings/old.tsv", bytes: 0, daysOld: 2)
        let limits = CO2Accounts.Limits(unit: CO2Usage(bytes: 100, entries: 4))
        let other = depot(limits)
        _ = try other.push(try unit("u2"), try path("data/readings/new.tsv"), offset: 0, body: [2])
        #expect(stored("u2", "data/readings/new.tsv") == [2])
        // The unit's folder, data, data/readings and the file: folders that were made again are counted.
        #expect(throws: CO2Depot.Failure.self) {
            _ = try other.push(try unit("u2"), try path("data/readings/one-more.tsv"), offset: 0, body: [3])
        }
    }

    /// The operator has removed files of another unit of the address.
    @Test func unitsOfTheAddressAreCountedAgainBeforeAPushIsRejected() throws {
        defer { TestFolders.remove(folder) }
        let units = try (1...2).map { try unit("u\($0)") }
        let limits = CO2Accounts.Limits(address: CO2Usage(bytes: 1000, entries: 100), recountAfter: .zero)
        let depot = depot(limits, fellows: units)
        let file = try path("data/a.tsv")
        let body = [UInt8](repeating: 1, count: 600)
        _ = try depot.push(units[0], file, offset: 0, body: body)
        let rejected = #expect(throws: CO2Depot.Failure.self) {
            _ = try depot.push(units[1], file, offset: 0, body: body)
        }
        #expect(rejected?.code == .tooLarge)
        try FileManager.default.removeItem(atPath: "\(folder)/remote_data/u1/data/a.tsv")
        let taken = try depot.push(units[1], file, offset: 0, body: body)
        #expect(taken.hasChanged && stored("u2", "data/a.tsv")?.count == 600)
    }

    /// An update brings limits by address: what was there goes on, and new units have the limit, also after a restart.
    @Test func anUpdateLocksOutNoUnitThatHasFiles() throws {
        defer { TestFolders.remove(folder) }
        let old = try (1...3).map { try unit("old\($0)") }
        let new = try (1...2).map { try unit("new\($0)") }
        for unit in old { try put(unit.text, "data/a.tsv", bytes: 600) }
        let limits = CO2Accounts.Limits(
            unit: CO2Usage(bytes: 5000, entries: 100), address: CO2Usage(bytes: 1000, entries: 100))
        let file = try path("data/a.tsv")
        func push(_ depot: CO2Depot, _ unit: NodeID, _ offset: Int64, _ count: Int) throws -> Bool {
            do {
                return try depot.push(unit, file, offset: offset, body: [UInt8](repeating: 66, count: count)).hasChanged
            } catch let failure as CO2Depot.Failure where failure.code == .tooLarge {
                return false
            }
        }
        let first = depot(limits, fellows: old + new)
        for unit in old {
            let isTaken = try push(first, unit, 600, 600)
            #expect(isTaken)
        }
        let told = reports.lines.withLock { $0 }
        #expect(told.count == 1 && told[0].hasPrefix("3 CO2 units had files here before"))
        let (begun, exceeded) = (try push(first, new[0], 0, 900), try push(first, new[1], 0, 200))
        #expect(begun && !exceeded)
        // Their own limit holds.
        let own = try push(first, old[0], 1200, 4000)
        #expect(!own)

        let second = depot(limits, fellows: old + new)
        let again = [
            try push(second, old[0], 1200, 600), try push(second, new[0], 900, 200), try push(second, new[1], 0, 200),
        ]
        #expect(again == [true, false, false])
        #expect(reports.lines.withLock { $0.count } == 1)
    }

    /// A new installation has no such units, and does not take its first ones for such after a restart.
    @Test func aNewInstallationHasTheLimitFromTheFirstUnitOn() throws {
        defer { TestFolders.remove(folder) }
        let units = try (1...2).map { try unit("u\($0)") }
        let limits = CO2Accounts.Limits(address: CO2Usage(bytes: 1000, entries: 100))
        let file = try path("data/a.tsv")
        _ = try depot(limits, fellows: units).push(units[0], file, offset: 0, body: [UInt8](repeating: 1, count: 900))
        #expect(throws: CO2Depot.Failure.self) {
            _ = try depot(limits, fellows: units).push(
                units[1], file, offset: 0, body: [UInt8](repeating: 1, count: 200))
        }
        #expect(reports.lines.withLock { $0.isEmpty })
    }
}
