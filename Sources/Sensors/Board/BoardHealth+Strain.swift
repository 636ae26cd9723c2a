import TextParts

/// What tells that the board had better do less.
public struct BoardStrain: Sendable {
    /// The processor's, °C.
    public let temperature: Double?
    /// The supply is under its voltage now.
    public let isSupplyLow: Bool
    /// Share of the last ten seconds in which something waited for memory, % (PSI, `some avg10`).
    public let memoryPressure: Double?

    public init(temperature: Double?, isSupplyLow: Bool, memoryPressure: Double?) {
        self.temperature = temperature
        self.isSupplyLow = isSupplyLow
        self.memoryPressure = memoryPressure
    }
}

extension BoardHealth {
    /// Read often, so only these files.
    public func strain() -> BoardStrain {
        let quantities = temperatures() + power()
        func value(_ name: String) -> Double? { quantities.first { $0.name == name }?.value }
        let line = files.lines("/proc/pressure/memory").first { $0.hasPrefix("some ") }
        let field = line?.parts(at: " ").first { $0.hasPrefix("avg10=") }
        return BoardStrain(
            temperature: value("temperature"), isSupplyLow: (value("under_voltage") ?? 0) != 0,
            memoryPressure: field.flatMap { Double($0.dropFirst(6)) })
    }

    /// The board's model as the device tree names it (Devicetree Specification §2.3.2); nil where there is none.
    public static func model(root: String = "") -> String? {
        let files = KernelFiles(root: root)
        return files.text("/proc/device-tree/model").map { String($0.before("\0").before("\n")) }
    }
}
