import TextParts

extension BoardHealth {
    /// The share of all cores that was busy since the last reading, the load and the uptime (proc(5)).
    mutating func processor() -> [Quantity] {
        var quantities: [Quantity] = []
        if let line = files.lines("/proc/stat").first(where: { $0.hasPrefix("cpu ") }) {
            let ticks = line.parts(at: " ").dropFirst().prefix(8).compactMap { Double($0) }
            if ticks.count >= 5 {
                let all = ticks.reduce(0, +)
                // Idle, and waiting for the disk.
                let busy = all - ticks[3] - ticks[4]
                if let lastTicks, all > lastTicks.all {
                    let share = (busy - lastTicks.busy) / (all - lastTicks.all)
                    quantities.append(Quantity("cpu", min(max(share, 0), 1) * 100, unit: "%"))
                }
                lastTicks = (busy, all)
            }
        }
        if let load = files.number("/proc/loadavg") { quantities.append(Quantity("load", load)) }
        if let uptime = files.number("/proc/uptime") { quantities.append(Quantity("uptime", uptime, unit: "s")) }
        return quantities
    }

    /// The share of the last minute in which something waited (kernel documentation, "PSI - Pressure Stall Information").
    func pressure() -> [Quantity] {
        ["cpu", "io", "memory"].compactMap { resource in
            let line = files.lines("/proc/pressure/\(resource)").first { $0.hasPrefix("some ") }
            let field = line?.parts(at: " ").first { $0.hasPrefix("avg60=") }
            return field.flatMap { Double($0.dropFirst(6)) }.map { Quantity("pressure_\(resource)", $0, unit: "%") }
        }
    }

    func memory() -> [Quantity] {
        let names = ["MemTotal": "memory_total", "MemAvailable": "memory_available", "SwapFree": "swap_free"]
        return files.lines("/proc/meminfo").compactMap { line in
            let fields = line.replacingText(":", with: " ").parts(at: " ")
            guard fields.count >= 2, let name = names[String(fields[0])], let kilobytes = Double(fields[1]) else {
                return nil
            }
            return Quantity(name, kilobytes * 1024, unit: "B")
        }
    }
}
