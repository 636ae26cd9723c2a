import Foundation
import TextParts

/// The machine's figures under the names of the Prometheus node exporter, as far as the usual panels for a fleet need
/// them: CPU, memory, file systems, network (proc(5)).
enum NodeFigures {
    /// Network devices and file systems beyond these are left out.
    private static let most = 32

    static func add(to page: inout MetricsPage) {
        addProcessor(&page)
        addMemory(&page)
        addFileSystems(&page)
        addNetwork(&page)
    }

    private static func text(_ path: String) -> String {
        (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    }

    private static func addProcessor(_ page: inout MetricsPage) {
        let name = "node_cpu_seconds_total"
        page.family(name, "counter", "Seconds the CPUs spent in each mode.")
        let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
        let modes = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"]
        for line in text("/proc/stat").lines() where line.hasPrefix("cpu") {
            let fields = line.parts(at: " ")
            guard let number = fields.first?.dropFirst(3), !number.isEmpty else { continue }
            for (mode, value) in zip(modes, fields.dropFirst()) {
                page.sample(name, [("cpu", String(number)), ("mode", mode)], (Double(value) ?? 0) / ticks)
            }
        }
    }

    private static func addMemory(_ page: inout MetricsPage) {
        let wanted = ["MemTotal", "MemFree", "MemAvailable", "SwapTotal", "SwapFree"]
        for line in text("/proc/meminfo").lines() {
            let fields = line.replacingText(":", with: " ").parts(at: " ")
            guard fields.count >= 2, wanted.contains(String(fields[0])), let value = Double(fields[1]) else { continue }
            page.single(
                "node_memory_\(fields[0])_bytes", "gauge", "Memory information field \(fields[0])_bytes.", value * 1024)
        }
    }

    /// Memory: the path and the status are borrowed for the call.
    private static func addFileSystems(_ page: inout MetricsPage) {
        var rows: [(labels: [(String, String)], size: Double, available: Double, free: Double)] = []
        var seen: Set<String> = []
        for line in text("/proc/self/mounts").lines() {
            let fields = line.parts(at: " ").map(String.init)
            // What has a device is a disk; each is told once.
            guard fields.count >= 3, fields[0].hasPrefix("/dev/"), seen.insert(fields[0]).inserted, rows.count < most
            else { continue }
            var found = statvfs()
            let point = fields[1].replacingText("\\040", with: " ")
            guard unsafe statvfs(point, &found) == 0 else { continue }
            let unit = Double(found.f_frsize)
            rows.append(
                (
                    [("device", fields[0]), ("fstype", fields[2]), ("mountpoint", point)],
                    Double(found.f_blocks) * unit,
                    Double(found.f_bavail) * unit, Double(found.f_bfree) * unit
                ))
        }
        page.family("node_filesystem_size_bytes", "gauge", "Filesystem size in bytes.")
        for row in rows { page.sample("node_filesystem_size_bytes", row.labels, row.size) }
        page.family("node_filesystem_avail_bytes", "gauge", "Filesystem space available to non-root users in bytes.")
        for row in rows { page.sample("node_filesystem_avail_bytes", row.labels, row.available) }
        page.family("node_filesystem_free_bytes", "gauge", "Filesystem free space in bytes.")
        for row in rows { page.sample("node_filesystem_free_bytes", row.labels, row.free) }
    }

    private static func addNetwork(_ page: inout MetricsPage) {
        var rows: [(device: String, received: Double, sent: Double)] = []
        for line in text("/proc/net/dev").lines().dropFirst(2).prefix(most) {
            let pieces = line.parts(at: ":", maximumSplits: 1)
            let fields = pieces.last?.parts(at: " ") ?? []
            guard pieces.count == 2, fields.count >= 9 else { continue }
            let device = String(pieces[0].trimmed)
            rows.append((device, Double(fields[0]) ?? 0, Double(fields[8]) ?? 0))
        }
        page.family("node_network_receive_bytes_total", "counter", "Network device statistic receive_bytes.")
        for row in rows { page.sample("node_network_receive_bytes_total", [("device", row.device)], row.received) }
        page.family("node_network_transmit_bytes_total", "counter", "Network device statistic transmit_bytes.")
        for row in rows { page.sample("node_network_transmit_bytes_total", [("device", row.device)], row.sent) }
    }
}
