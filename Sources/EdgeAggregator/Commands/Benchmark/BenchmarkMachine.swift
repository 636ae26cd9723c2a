import CEdgeSystem
import Foundation
import Sensors
import TextParts

/// What a machine is. Its name, addresses and serial numbers are left out.
struct BenchmarkMachine: Encodable, Sendable {
    /// As the device tree names it.
    @OrNull var board: String?
    @OrNull var processor: String?
    let architecture: String
    let cores: Int
    @OrNull var maximumFrequencyHertz: Double?
    @OrNull var frequencyGovernor: String?
    let kernel: String
    @OrNull var operatingSystem: String?
    let pageBytes: Int
    let memoryBytes: Int64

    /// Memory: `name` is this function's and borrowed for the call; its texts are copied within the closures.
    static func this() -> BenchmarkMachine {
        var name = utsname()
        unsafe uname(&name)
        let release = unsafe withUnsafeBytes(of: name.release) {
            unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        let architecture = unsafe withUnsafeBytes(of: name.machine) {
            unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        let frequencies = "/sys/devices/system/cpu/cpu0/cpufreq"
        return BenchmarkMachine(
            board: BoardHealth.model(), processor: processor(ofInfo: text("/proc/cpuinfo") ?? ""),
            architecture: architecture, cores: ProcessInfo.processInfo.activeProcessorCount,
            maximumFrequencyHertz: text("\(frequencies)/cpuinfo_max_freq").flatMap { Double($0) }.map { $0 * 1000 },
            frequencyGovernor: text("\(frequencies)/scaling_governor"), kernel: release,
            operatingSystem: operatingSystem(ofRelease: text("/etc/os-release") ?? ""),
            pageBytes: Int(sysconf(Int32(_SC_PAGESIZE))), memoryBytes: Int64(ProcessInfo.processInfo.physicalMemory))
    }

    /// The parts of Arm's processors (MIDR_EL1, Arm Architecture Reference Manual) that Raspberry Pis have.
    private static let parts = ["0xd03": "Cortex-A53", "0xd08": "Cortex-A72", "0xd0b": "Cortex-A76"]

    /// - Parameter info: of `/proc/cpuinfo`. Arm's kernels tell numbers, x86's a name.
    static func processor(ofInfo info: String) -> String? {
        var values: [String: String] = [:]
        for line in info.lines() {
            guard let (name, value) = line.halves(at: ":") else { continue }
            let key = String(name).trimmingSpaces
            if values[key] == nil { values[key] = String(value).trimmingSpaces }
        }
        if let name = values["model name"], !name.isEmpty { return name }
        guard let part = values["CPU part"] else { return nil }
        if values["CPU implementer"] == "0x41", let name = parts[part] { return name }
        return "implementer \(values["CPU implementer"] ?? "?"), part \(part)"
    }

    static func operatingSystem(ofRelease text: String) -> String? {
        text.lines().first { $0.begins(with: "PRETTY_NAME=") }
            .map { String($0).replacingText("PRETTY_NAME=", with: "").replacingText("\"", with: "") }
    }

    /// Of a small file; without spaces and line ends around it.
    static func text(_ path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0.prefix(65_536), as: UTF8.self) }
            .map { $0.words().isEmpty ? "" : $0.trimmingSpaces.before("\0") }.map { String($0) }
            .flatMap { $0.isEmpty ? nil : $0 }
    }
}

/// The disk under a folder. Names of servers, folders and volumes are left out.
struct BenchmarkDisk: Encodable, Sendable {
    @OrNull var fileSystem: String? = nil
    /// The kernel's name, such as `mmcblk0p2`.
    @OrNull var device: String? = nil
    /// As the card or drive names its kind.
    @OrNull var model: String? = nil

    /// Memory: the path and the status are borrowed for the call.
    init(of folder: String) {
        var status = EdgeFileStatus()
        guard unsafe edge_stat(folder, &status) == 0 else { return }
        // As glibc's major(3) and minor(3) take a device number apart.
        let major = (status.device >> 8 & 0xfff) | (status.device >> 32 & ~0xfff)
        let minor = (status.device & 0xff) | (status.device >> 12 & ~0xff)
        let number = "\(major):\(minor)"
        fileSystem = Self.fileSystem(of: number, mounts: BenchmarkMachine.text("/proc/self/mountinfo") ?? "")
        let link = "/sys/dev/block/\(number)"
        device = (try? FileManager.default.destinationOfSymbolicLink(atPath: link))
            .map { ($0 as NSString).lastPathComponent }
        // A partition lies in the folder of its disk.
        let names = ["device/name", "device/model", "../device/name", "../device/model"]
        model = names.lazy.compactMap { BenchmarkMachine.text("\(link)/\($0)") }.first
    }

    /// - Parameter mounts: of `/proc/self/mountinfo` (proc(5)).
    static func fileSystem(of device: String, mounts: String) -> String? {
        for line in mounts.lines() {
            // Fields that may be there or not end with a hyphen; the type follows it.
            guard let (before, after) = line.halves(at: " - "), before.words().dropFirst(2).first == device[...] else {
                continue
            }
            return after.words().first.map { String($0) }
        }
        return nil
    }
}

/// What the board says of its heat and its supply at a moment. Null is what it does not tell.
struct BoardState: Encodable, Sendable {
    @OrNull var temperatureCelsius: Double?
    @OrNull var frequencyHertz: Double?
    @OrNull var throttled: Bool?
    @OrNull var throttledSinceStart: Bool?
    @OrNull var underVoltage: Bool?
    @OrNull var underVoltageSinceStart: Bool?
    @OrNull var fanTurnsPerMinute: Double?
    @OrNull var load: Double?
    @OrNull var memoryAvailableBytes: Double?

    /// - Parameter root: before every path; empty for this machine.
    static func now(root: String = "") -> BoardState {
        var board = BoardHealth(root: root, diskPath: "/")
        let values = Dictionary(board.read().map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
        return BoardState(
            temperatureCelsius: values["temperature"], frequencyHertz: values["cpu_frequency"],
            throttled: values["throttled"].map { $0 != 0 },
            throttledSinceStart: values["throttled_since_start"].map { $0 != 0 },
            underVoltage: values["under_voltage"].map { $0 != 0 },
            underVoltageSinceStart: values["under_voltage_since_start"].map { $0 != 0 },
            fanTurnsPerMinute: values["fan"], load: values["load"], memoryAvailableBytes: values["memory_available"])
    }
}
