import Foundation
import Sensors
import Testing

/// Against the files of a Raspberry Pi 4 as its kernel writes them.
@Suite struct BoardHealthTests {
    private func root(_ files: [String: String]) throws -> String {
        let root = "\(NSTemporaryDirectory())/board-\(UUID().uuidString)"
        for (path, text) in files {
            let file = URL(fileURLWithPath: root + path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        return root
    }

    private static let pi = [
        "/proc/stat": "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 100 0 50 800 50 0 0 0 0 0\n",
        "/proc/loadavg": "0.52 0.58 0.59 1/389 12345\n",
        "/proc/uptime": "350735.47 234388.90\n",
        "/proc/pressure/io":
            "some avg10=0.00 avg60=1.25 avg300=0.40 total=1\nfull avg10=0.00 avg60=0.50 avg300=0.00 total=1\n",
        "/proc/meminfo":
            "MemTotal:        3884388 kB\nMemFree:          123456 kB\nMemAvailable:    3000000 kB\nSwapFree:         102396 kB\n",
        "/sys/block/mmcblk0/stat": "  24871 10231 1872142 27881 9182 12093 400000 91823 0 66452 119705 0 0 0 0 0 0\n",
        "/sys/block/mmcblk0boot0/stat": "1 1 1 1 1 1 999 1 0 0 0\n",
        "/sys/block/loop0/stat": "1 1 1 1 1 1 999 1 0 0 0\n",
        "/sys/block/mmcblk0/device/life_time": "0x01 0x03\n",
        "/sys/block/mmcblk0/device/pre_eol_info": "0x01\n",
        "/sys/class/thermal/thermal_zone0/temp": "48686\n",
        "/sys/class/hwmon/hwmon0/name": "cpu_thermal\n",
        "/sys/class/hwmon/hwmon1/name": "rpi_volt\n",
        "/sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n",
        "/sys/class/hwmon/hwmon2/name": "pwmfan\n",
        "/sys/class/hwmon/hwmon2/fan1_input": "2870\n",
        "/sys/devices/platform/soc/soc:firmware/get_throttled": "50004\n",
        "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
        "/proc/net/dev":
            "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n    lo:  999    1 0 0 0 0 0 0 999 1 0 0 0 0 0 0\n  eth0: 1000    2 0 0 0 0 0 0 200 1 0 0 0 0 0 0\n wlan0: 30 1 0 0 0 0 0 0 4 1 0 0 0 0 0 0\n",
        "/proc/net/wireless":
            "Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE\n face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22\n wlan0: 0000   58.  -52.  -256        0      0      0      0      0        0\n",
    ]

    @Test func tellsWhatAPiTells() throws {
        let root = try root(Self.pi)
        defer { try? FileManager.default.removeItem(atPath: root) }
        var board = BoardHealth(root: root, diskPath: "/")
        let first = Dictionary(uniqueKeysWithValues: board.read().map { ($0.name, $0) })
        // A share needs two readings.
        #expect(first["cpu"] == nil)
        let wanted: [String: (Double, String)] = [
            "load": (0.52, ""), "uptime": (350_735.47, "s"), "pressure_io": (1.25, "%"),
            "memory_total": (3_884_388 * 1024, "B"), "memory_available": (3_000_000 * 1024, "B"),
            "disk_written": (400_000 * 512, "B"), "card_life_used": (30, "%"), "card_reserve_state": (1, ""),
            "temperature": (48.686, "°C"), "under_voltage": (1, ""), "fan": (2870, "rpm"), "throttled": (1, ""),
            "throttled_since_start": (1, ""), "under_voltage_since_start": (1, ""), "cpu_frequency": (1.5e9, "Hz"),
            "network_received": (1030, "B"), "network_sent": (204, "B"), "wifi_signal": (-52, "dBm"),
        ]
        for (name, (value, unit)) in wanted {
            #expect(
                first[name]?.value == value && first[name]?.unit == unit, "\(name): \(String(describing: first[name]))")
        }
        #expect((first["disk_free"]?.value ?? 0) > 0)
        try Data("cpu  150 0 75 810 65 0 0 0 0 0\n".utf8).write(to: URL(fileURLWithPath: "\(root)/proc/stat"))
        // 75 of 100 ticks were neither idle nor waiting for the disk.
        #expect(board.read().first { $0.name == "cpu" }?.value == 75)
    }

    @Test func leavesOutWhatABoardDoesNotTell() throws {
        let root = try root([
            "/proc/stat": "nonsense\n", "/proc/meminfo": "MemTotal: kB\n", "/proc/net/dev": "", "/proc/loadavg": "\0",
        ])
        defer { try? FileManager.default.removeItem(atPath: root) }
        var board = BoardHealth(root: root, diskPath: "\(root)/not/there")
        #expect(Set(board.read().map(\.name)).isSubset(of: ["clock_set", "clock_offset", "clock_error"]))
    }

    /// This machine's kernel agrees with what another program reads of it.
    @Test func readsThisMachine() throws {
        var board = BoardHealth(diskPath: "/")
        _ = board.read()
        let quantities = Dictionary(uniqueKeysWithValues: board.read().map { ($0.name, $0.value) })
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["awk", "/MemTotal/ {print $2}", "/proc/meminfo"]
        process.environment = ["LC_ALL": "C", "PATH": "/usr/bin:/bin"]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let kilobytes = Double(text.trimmingCharacters(in: .whitespacesAndNewlines))
        #expect(quantities["memory_total"] == kilobytes.map { $0 * 1024 })
        #expect((quantities["uptime"] ?? 0) > 1 && (quantities["load"] ?? -1) >= 0)
    }
}
