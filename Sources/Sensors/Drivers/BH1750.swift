/// ROHM BH1750: light (datasheet 2011.11 rev. D, "Instruction Set Architecture").
///
/// It has no register that tells who or how it is. After power-on it is powered down and its data register is 0 ("Block
/// diagram", "Reset command"), and 0 is also what it measures in the dark. So 0 counts when two measurements give it, one after
/// the other, and when nothing holds the data line at 0 (``Bus/isHeldLow``).
struct BH1750: SensorDriver {
    init(_ options: SensorOptions) throws(SensorError) {}

    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        var count = try measure(bus)
        if count == 0 { count = try measure(bus) }
        // The register is full from 54,612 lx on (65,535 / 1.2); ones are also what an adapter reads of a chip that lets go.
        guard count != 0xFFFF else { throw .saturated("the light is at or above the 54612 lx that it can measure") }
        return [Quantity("illuminance", Double(count) / 1.2, unit: "lx")]
    }

    /// One time, high resolution: 180 ms at most. It powers down by itself.
    private func measure(_ bus: some Bus) throws(SensorError) -> UInt16 {
        _ = try bus.ask([0x20])
        bus.pause(milliseconds: 180)
        let bytes = try bus.ask([], reading: 2)
        return UInt16(bytes[0]) << 8 | UInt16(bytes[1])
    }
}
