extension BoardHealth {
    /// Of the thermal zones (kernel documentation, "Thermal sysfs"): millidegrees. The first is the processor's.
    func temperatures() -> [Quantity] {
        let zones = files.names("/sys/class/thermal").filter { $0.hasPrefix("thermal_zone") }
            .sorted { (Int($0.dropFirst(12)) ?? 0) < (Int($1.dropFirst(12)) ?? 0) }
        var quantities: [Quantity] = []
        for (place, zone) in zones.prefix(8).enumerated() {
            guard let value = files.number("/sys/class/thermal/\(zone)/temp") else { continue }
            quantities.append(
                Quantity(place == 0 ? "temperature" : "temperature_\(place)", value / 1000, unit: "°C"))
        }
        return quantities
    }

    /// What the firmware's hardware monitors tell (kernel documentation, "Naming and data format standards for sysfs
    /// files"): `rpi_volt` raises an alarm when the supply is low, `pwmfan` and `cooling_fan` tell the fan's turns. And
    /// throttling, from the firmware driver's file where the kernel has it, with the processor's clock for those that have
    /// not.
    func power() -> [Quantity] {
        var quantities: [Quantity] = []
        for monitor in files.names("/sys/class/hwmon") {
            let path = "/sys/class/hwmon/\(monitor)"
            switch files.word("\(path)/name") {
            case "rpi_volt":
                if let alarm = files.number("\(path)/in0_lcrit_alarm") {
                    quantities.append(Quantity("under_voltage", alarm))
                }
            case "pwmfan", "cooling_fan":
                if let turns = files.number("\(path)/fan1_input") {
                    quantities.append(Quantity("fan", turns, unit: "rpm"))
                }
            default: continue
            }
        }
        quantities += throttling()
        if let kilohertz = files.number("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq") {
            quantities.append(Quantity("cpu_frequency", kilohertz * 1000, unit: "Hz"))
        }
        return quantities
    }

    /// Raspberry Pi documentation, "vcgencmd get_throttled": bit 0 under-voltage now, 1 frequency capped, 2 throttled, 3
    /// soft temperature limit; the same 16 higher for "has been since the start".
    private func throttling() -> [Quantity] {
        let path = "/sys/devices/platform/soc/soc:firmware/get_throttled"
        guard let text = files.word(path),
            let bits = Int(text.hasPrefix("0x") ? String(text.dropFirst(2)) : text, radix: 16)
        else { return [] }
        return [
            Quantity("throttled", bits & 0b1110 != 0 ? 1 : 0),
            Quantity("throttled_since_start", bits >> 16 & 0b1110 != 0 ? 1 : 0),
            Quantity("under_voltage_since_start", bits >> 16 & 1 != 0 ? 1 : 0),
        ]
    }
}
