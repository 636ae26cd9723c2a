import EdgeTesting
import Foundation
import Testing

/// What a start makes of the fields that it finds, when it cannot see all of them or has lost their catalogue.
@Suite(.serialized) struct ForecastRecoveryTests {
    private typealias Upstream = ForecastUpstream

    private func contents(_ daemon: DaemonProcess) throws -> [String: Data] {
        try Dictionary(
            uniqueKeysWithValues: daemon.fieldFiles().map {
                ($0, try Data(contentsOf: URL(fileURLWithPath: "\(daemon.folder)/forecasts/\($0)")))
            })
    }

    /// A folder that cannot be listed, or a field that cannot be removed, is not gone.
    @Test(arguments: ["list 5 /forecasts", "list 24 /wind"])
    func whatCannotBeListedNowStays(_ failure: String) throws {
        let folder = try TestFolders.temporary("edge-unlisted")
        defer { TestFolders.remove(folder) }
        let order = "\(folder)/order"
        let upstream = try Upstream()
        let daemon = try DaemonProcess(
            settings: upstream.settings([
                "LD_PRELOAD": try Interposer.make("failing_read", in: folder), "READ_FAILURE_FILE": order,
            ]))
        #expect(try daemon.command("forecasts", "collect").output.contains("completed, 5 fields"))
        let before = try contents(daemon)
        #expect(before.count == 5)
        let asked = try upstream.log().filter { $0.range != nil }.count
        try Data(failure.utf8).write(to: URL(fileURLWithPath: order))
        try daemon.start()
        _ = try daemon.collected(["wind"], after: 1)
        #expect(daemon.stop() == 0)
        try FileManager.default.removeItem(atPath: order)
        #expect(try contents(daemon) == before)
        try daemon.start()
        _ = try daemon.collected(["wind"], after: 2)
        #expect(try daemon.datasets().count == 5)
        #expect(try contents(daemon) == before)
        // Nothing was fetched a second time.
        #expect(try upstream.log().filter { $0.range != nil }.count == asked)
        #expect(daemon.stop() == 0)
    }

    /// Fields whose catalogue was lost are taken into the new one, and a torn note of their region removes none.
    @Test func fieldsOfALostCatalogueAreKept() throws {
        let upstream = try Upstream()
        let daemon = try DaemonProcess(settings: upstream.settings())
        try daemon.start()
        try Upstream.wait { try daemon.datasets().count == 5 }
        let known = try daemon.datasets()
        #expect(daemon.stop() == 0)
        let before = try contents(daemon)
        let asked = try upstream.log().filter { $0.range != nil }.count
        for suffix in ["", "-wal", "-shm"] {
            try? FileManager.default.removeItem(atPath: "\(daemon.folder)/edge.db\(suffix)")
        }
        try Data(count: 12).write(to: URL(fileURLWithPath: "\(daemon.folder)/forecasts/region.txt"))
        try daemon.start()
        _ = try daemon.collected(["wind"])
        try Upstream.wait { try daemon.datasets().count == 5 }
        #expect(try contents(daemon) == before)
        let found = try daemon.datasets()
        for key in ["id", "data_type", "source", "valid_time_start", "file_path"] {
            #expect(
                Set(found.compactMap { $0[key] as? String }) == Set(known.compactMap { $0[key] as? String }), "\(key)")
        }
        #expect(try upstream.log().filter { $0.range != nil }.count == asked)
        #expect(daemon.stop() == 0)
    }

    /// A field that is damaged is fetched again; the damaged file is kept beside it.
    @Test func aDamagedFieldIsPutAside() throws {
        let upstream = try Upstream()
        let daemon = try DaemonProcess(settings: upstream.settings())
        #expect(try daemon.command("forecasts", "collect").status == 0)
        let before = try contents(daemon)
        let path = try #require(before.keys.min())
        let file = "\(daemon.folder)/forecasts/\(path)"
        try Data("torn".utf8).write(to: URL(fileURLWithPath: file))
        try daemon.start()
        _ = try daemon.collected(["wind"], after: 1)
        try Upstream.wait { try daemon.datasets().count == 5 }
        #expect(try Set(contents(daemon).keys) == Set(before.keys))
        #expect(try contents(daemon)[path]?.count == before[path]?.count)
        #expect(try String(contentsOfFile: "\(file.dropLast(3)).damaged", encoding: .utf8) == "torn")
        #expect(daemon.stop() == 0)
    }
}
