/// ROHM BH1750: light (datasheet 2011.11 rev. D, "Instruction Set Architecture").
struct BH1750: SensorDriver {
    init(_ options: SensorOptions) throws(SensorError) {}

    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        // One time, high resolution: 180 ms at most. It powers down by itself.
        _ = try bus.ask([0x20])
        bus.pause(milliseconds: 180)
        let bytes = try bus.ask([], reading: 2)
        return [Quantity("illuminance", Double(UInt16(bytes[0]) << 8 | UInt16(bytes[1])) / 1.2, unit: "lx")]
    }
}
