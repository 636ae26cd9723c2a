import EdgeTesting
import Foundation
import Testing

@testable import EdgeAggregator

/// What `benchmark` computes, and its folder. Nothing here depends on how fast a machine is.
@Suite struct BenchmarkTests {
    /// The nearest rank of ISO 16269's definition: of 1 to 200, half do not exceed 100 and 99 % do not exceed 198.
    @Test func percentilesAreTheNearestRanks() {
        let many = Distribution(ofSeconds: (1...200).reversed().map { Double($0) / 1000 })
        #expect(many.samples == 200)
        #expect((many.p50Milliseconds, many.p99Milliseconds, many.maximumMilliseconds) == (100, 198, 200))
        let one = Distribution(ofSeconds: [0.25])
        #expect((one.p50Milliseconds, one.p99Milliseconds, one.maximumMilliseconds) == (250, 250, 250))
    }

    /// A window of 3 s begins every 3 s less the overlap.
    @Test(arguments: [(144_000, 2.0, 6), (144_000, 1.99, 5), (72_000, 2.0, 3), (4_800, 5.0, 0)])
    func listenersFollowFromWindows(stepSamples: Int, rate: Double, listeners: Int) {
        let load = ListenerLoad(stepSamples: stepSamples)
        #expect(load.listeners(windowsPerSecond: rate) == listeners)
        #expect(abs(load.windowsPerSecond * Double(stepSamples) - 48_000) < 1e-6)
    }

    @Test(arguments: [(1, [1]), (4, [1, 2, 3, 4]), (8, Array(1...8)), (20, Array(1...8) + [16, 20])])
    func workersAreCountedUpToTheCores(cores: Int, counts: [Int]) {
        #expect(AnalysisBenchmark.counts(cores: cores) == counts)
    }

    /// The lines of a Raspberry Pi 4 and 5 (MIDR_EL1 of Cortex-A72 and A76), and of an x86.
    @Test(arguments: [
        ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\nSerial\t\t: 10000000deadbeef\n", "Cortex-A72"),
        ("CPU implementer\t: 0x41\nCPU part\t: 0xd0b\n", "Cortex-A76"),
        ("CPU implementer\t: 0x61\nCPU part\t: 0x022\n", "implementer 0x61, part 0x022"),
        ("model name\t: Intel(R) N100\n\nmodel name\t: other\n", "Intel(R) N100"),
    ])
    func processorsHaveNames(info: String, name: String) {
        #expect(BenchmarkMachine.processor(ofInfo: info) == name)
    }

    /// The example of proc_pid_mountinfo(5), and a line without optional fields.
    @Test func theFileSystemIsOfTheDevice() {
        let mounts = """
            36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
            26 1 179:2 / / rw,noatime - ext4 /dev/mmcblk0p2 rw
            """
        #expect(BenchmarkDisk.fileSystem(of: "98:0", mounts: mounts) == "ext3")
        #expect(BenchmarkDisk.fileSystem(of: "179:2", mounts: mounts) == "ext4")
        #expect(BenchmarkDisk.fileSystem(of: "8:0", mounts: mounts) == nil)
    }

    @Test func namesOfFilesComeFromTheBoard() {
        #expect(
            BenchmarkCommand.fileName("Raspberry Pi 4 Model B Rev 1.4") == "raspberry-pi-4-model-b-rev-1.4")
        #expect(BenchmarkCommand.fileName("../ä/x") == "..-x")
    }

    /// The flags as the Raspberry Pi's documentation counts them: 0x50000 is under-voltage and throttling since the start.
    @Test func theBoardsFlagsAreToldOrNull() throws {
        let root = try TestFolders.temporary("edge-benchmark")
        defer { TestFolders.remove(root) }
        func put(_ path: String, _ text: String) throws {
            let file = URL(fileURLWithPath: root + path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        #expect(BoardState.now(root: root).throttledSinceStart == nil)
        try put("/sys/class/thermal/thermal_zone0/temp", "61234\n")
        try put("/sys/devices/platform/soc/soc:firmware/get_throttled", "50000\n")
        try put("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1500000\n")
        let state = BoardState.now(root: root)
        #expect(state.temperatureCelsius == 61.234 && state.frequencyHertz == 1.5e9)
        #expect(state.throttled == false && state.throttledSinceStart == true && state.underVoltageSinceStart == true)
        let json = String(decoding: try JSONEncoder().encode(state), as: UTF8.self)
        #expect(json.contains("\"fanTurnsPerMinute\":null"))
    }

    @Test func aFolderIsEmptiedOfWhatWasLeftAndUsedOnce() throws {
        let parent = try TestFolders.temporary("edge-benchmark")
        defer { TestFolders.remove(parent) }
        let path = "\(parent)/edge-benchmark.tmp"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try Data([1]).write(to: URL(fileURLWithPath: "\(path)/write-4096"))
        let folder = try BenchmarkFolder(in: parent)
        #expect(try FileManager.default.contentsOfDirectory(atPath: path).isEmpty)
        #expect(throws: BenchmarkProblem.self) { _ = try BenchmarkFolder(in: parent) }
        folder.remove()
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    /// What a link of that name leads to is not the benchmark's.
    @Test func aLinkIsNotFollowed() throws {
        let parent = try TestFolders.temporary("edge-benchmark")
        defer { TestFolders.remove(parent) }
        let precious = "\(parent)/precious"
        try FileManager.default.createDirectory(atPath: precious, withIntermediateDirectories: true)
        try Data([1]).write(to: URL(fileURLWithPath: "\(precious)/file"))
        try FileManager.default.createSymbolicLink(
            atPath: "\(parent)/edge-benchmark.tmp", withDestinationPath: precious)
        #expect(throws: BenchmarkProblem.self) { _ = try BenchmarkFolder(in: parent) }
        #expect(FileManager.default.fileExists(atPath: "\(precious)/file"))
    }

    @Test func aDaemonsLockIsSeen() throws {
        let folder = try TestFolders.temporary("edge-benchmark")
        defer { TestFolders.remove(folder) }
        #expect(!DaemonPresence(baseFolder: folder).isRunning)
        let lock = try InstanceLock(baseFolder: folder)
        #expect(DaemonPresence(baseFolder: folder).isRunning)
        withExtendedLifetime(lock) {}
    }

    /// Numbers count on over the end of the page's bytes, and past the one that is metadata.
    @Test func framesAreNumberedOn() {
        var frames = RepeatedFrames(sound: [UInt8](repeating: 7, count: 32_768 * 2 + 5))
        func numbers() -> [Int] {
            stride(from: 0, to: frames.bytes.count, by: 32_774).map {
                Int(frames.bytes[$0]) | Int(frames.bytes[$0 + 1]) << 8 | Int(frames.bytes[$0 + 2]) << 16
            }
        }
        frames.renumber()
        #expect(numbers() == [0, 1])
        frames.renumber()
        #expect(numbers() == [2, 3])
        #expect(frames.bytes.count == 2 * (6 + 32_768))
    }
}
