import EdgeTesting
import Foundation
import Testing

/// Disks that are full, or that cannot be read for a while, under the files of CO2 units.
@Suite(.serialized) struct CO2DiskTests {
    private static let id = "co2unit-30aea42a5140"
    private static let file = "data/readings/readings-0000.tsv"

    private static func folder(_ daemon: DaemonProcess) -> String {
        "\(daemon.folder)/remote_data/\(id)/data/readings"
    }

    /// Every file in the unit's folder, hidden ones too.
    private static func files(_ daemon: DaemonProcess) throws -> [String: Data] {
        var files: [String: Data] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: folder(daemon)) {
            files[name] = try Data(contentsOf: URL(fileURLWithPath: "\(folder(daemon))/\(name)"))
        }
        return files
    }

    private static func readings(_ daemon: DaemonProcess) throws -> Int {
        let page = try daemon.json("/api/v1/observations?source=co2/\(id)&quantity=temperature&limit=1000")
        return (page["observations"] as? [[String: Any]])?.count ?? 0
    }

    /// A unit tries again and again to replace its file. As long as that is rejected, nothing that is kept changes.
    @Test func aReplacementThatIsRejectedChangesNothing() throws {
        let disk = try SmallDisk(megabytes: 48, files: 4000)
        defer { withExtendedLifetime(disk) {} }
        let daemon = try DaemonProcess(
            folder: disk.folder,
            settings: ["MIN_FREE_DISK_BYTES": "8000000", "NODE_ADMISSION": "open", "LOG_LEVEL": "critical"])
        try daemon.start()
        let unit = StockUnit(Self.id, port: daemon.port)
        func content(_ number: Int) -> [UInt8] { Array((0..<20).map { unit.line(number * 20 + $0) }.joined().utf8) }
        for number in 0..<9 {
            let status = try unit.push(Self.file, offset: 0, content(number)).status
            #expect(status == 200)
        }
        let before = try Self.files(daemon)
        #expect(before.count == 9 && before["readings-0000.tsv"] == Data(content(8)))
        for number in 0..<8 { #expect(before[".readings-0000.tsv.replaced-\(number + 1)"] == Data(content(number))) }

        try disk.fill()
        try waitFor("not ready") { try daemon.get("/readyz").status == 503 }
        for number in 0..<20 {
            // From the beginning, and from the middle of what is stored.
            let status = try unit.push(Self.file, offset: number % 2 * 40, content(10 + number)).status
            #expect(status == 507)
        }
        let full = try Self.files(daemon)
        #expect(full == before)
        // A file that cannot be kept is not created either.
        let other = try unit.push("data/readings/readings-0001.tsv", offset: 0, content(9)).status
        #expect(other == 507)
        #expect(!FileManager.default.fileExists(atPath: "\(Self.folder(daemon))/readings-0001.tsv"))

        try disk.release()
        try waitFor("ready") { try daemon.get("/readyz").status == 200 }
        // As a run leaves it that is killed when the old content is kept and the new one is not in its place yet.
        try Data(content(8)).write(to: URL(fileURLWithPath: "\(Self.folder(daemon))/.readings-0000.tsv.replaced-9"))
        try Data("x".utf8).write(to: URL(fileURLWithPath: "\(Self.folder(daemon))/.readings-0000.tsv.replacing-new"))
        let status = try unit.push(Self.file, offset: 0, content(9)).status
        #expect(status == 200)
        let after = try Self.files(daemon)
        #expect(after.count == 9 && after["readings-0000.tsv"] == Data(content(9)))
        for number in 1..<9 { #expect(after[".readings-0000.tsv.replaced-\(number)"] == Data(content(number))) }
        try waitFor("the readings of the new content") {
            let last = try daemon.json("/api/v1/observations?source=co2/\(Self.id)&quantity=temperature&limit=1")
            let rows = last["observations"] as? [[String: Any]]
            // The line with the number 199: half past three, four days after the first line.
            return rows?.first?["at"] as? String == "2019-01-06T03:30:10.000Z"
        }
        #expect(daemon.stop() == 0)
    }

    /// What was acknowledged is read by itself as soon as the disk lets it be read: no other push is needed.
    @Test func whatCannotBeReadNowIsReadLater() throws {
        let folder = try TestFolders.temporary("edge-unreadable")
        defer { TestFolders.remove(folder) }
        let order = URL(fileURLWithPath: "\(folder)/order")
        let daemon = try DaemonProcess(settings: [
            "NODE_ALLOW": "co2:\(Self.id)", "LD_PRELOAD": try Interposer.make("failing_read", in: folder),
            "READ_FAILURE_FILE": order.path,
        ])
        func logged(_ log: String, _ text: String) throws -> Int {
            try String(contentsOfFile: "\(folder)/\(log)", encoding: .utf8).components(separatedBy: text).count - 1
        }
        try daemon.start(logPath: "\(folder)/log-1")
        let unit = StockUnit(Self.id, port: daemon.port)
        let first = Array((0..<5).map { unit.line($0) }.joined().utf8)

        try Data("read \(EIO) /readings-0000.tsv".utf8).write(to: order)
        let acknowledged = try unit.push(Self.file, offset: 0, first).status
        #expect(acknowledged == 200)
        // Another file does not wait for it.
        let other = try unit.push("data/readings/readings-0001.tsv", offset: 0, Array(unit.line(5).utf8)).status
        #expect(other == 200)
        try waitFor("the other file's reading") { try Self.readings(daemon) == 1 }
        // Long enough for a second attempt.
        Thread.sleep(forTimeInterval: 3)
        let readings = try Self.readings(daemon)
        let messages = try logged("log-1", "A unit's file cannot be read")
        #expect(readings == 1 && messages == 1)
        try FileManager.default.removeItem(at: order)
        try waitFor("the readings") { try Self.readings(daemon) == 6 }

        // Acknowledged and unread at a kill; at the next start the folder cannot be listed.
        try Data("read \(EIO) /readings-0000.tsv".utf8).write(to: order)
        let second = try unit.push(Self.file, offset: first.count, Array(unit.line(6).utf8)).status
        #expect(second == 200)
        daemon.killNow()
        try Data("list \(EIO) /data/readings".utf8).write(to: order)
        try daemon.start(logPath: "\(folder)/log-2")
        try waitFor("the error") { try logged("log-2", "cannot be listed") == 1 }
        Thread.sleep(forTimeInterval: 3)
        let unlisted = try Self.readings(daemon)
        let again = try logged("log-2", "cannot be listed")
        #expect(unlisted == 6 && again == 1)
        try FileManager.default.removeItem(at: order)
        try waitFor("the last reading") { try Self.readings(daemon) == 7 }
        #expect(daemon.stop() == 0)
    }
}
