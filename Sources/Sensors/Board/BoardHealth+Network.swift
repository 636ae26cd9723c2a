import CEdgeSystem
import TextParts

extension BoardHealth {
    /// Bytes of all devices but the loop, and how well the first wireless one hears (proc(5), `/proc/net/wireless`).
    func network() -> [Quantity] {
        var (received, sent) = (0.0, 0.0)
        var hasDevice = false
        for line in files.lines("/proc/net/dev").dropFirst(2) {
            let pieces = line.parts(at: ":", maximumSplits: 1)
            let fields = pieces.last?.parts(at: " ") ?? []
            guard pieces.count == 2, fields.count >= 9, pieces[0].trimmed != "lo" else { continue }
            hasDevice = true
            received += Double(fields[0]) ?? 0
            sent += Double(fields[8]) ?? 0
        }
        var quantities: [Quantity] = []
        if hasDevice {
            quantities.append(Quantity("network_received", received, unit: "B"))
            quantities.append(Quantity("network_sent", sent, unit: "B"))
        }
        if let line = files.lines("/proc/net/wireless").dropFirst(2).first {
            // Device, status, link quality, level in dBm.
            let fields = line.parts(at: " ")
            if fields.count >= 4, let level = Double(fields[3].hasSuffix(".") ? fields[3].dropLast() : fields[3]) {
                quantities.append(Quantity("wifi_signal", level, unit: "dBm"))
            }
        }
        return quantities
    }

    /// Whether the clock is set, and how far the kernel thinks it is off (adjtimex(2)).
    func clock() -> [Quantity] {
        var quantities = [Quantity("clock_set", edge_clock_is_synchronised() ? 1 : 0)]
        // Memory: both numbers are borrowed for the call.
        var offset: Int64 = 0
        var error: Int64 = 0
        if unsafe edge_clock_offset(&offset, &error) {
            quantities.append(Quantity("clock_offset", Double(offset) / 1e9, unit: "s"))
            quantities.append(Quantity("clock_error", Double(error) / 1e9, unit: "s"))
        }
        return quantities
    }
}
