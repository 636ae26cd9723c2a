/// What a kind of input line says at each interval.
public struct LineKind: Sendable {
    public enum Meaning: Sendable, Hashable {
        /// Pulses since the last reading, each worth so much.
        case counter(quantity: String, unit: String, perPulse: Double)
        /// 1 when active; each change at its own time, and the state at each interval.
        case state(quantity: String)
    }

    public let counts: LineWatch.Counts
    public let debounceNanoseconds: Int64
    public let meaning: Meaning

    /// A rain gauge, a flow or energy meter, a flash counter.
    public static func counter(_ options: SensorOptions) throws(SensorError) -> LineKind {
        LineKind(
            counts: try options.choice("edge", [("rising", .rising), ("falling", .falling), ("both", .both)])
                ?? .rising,
            debounceNanoseconds: Int64((try options.number("debounce_ms", in: 0...10_000) ?? 0) * 1e6),
            meaning: .counter(
                quantity: options.text("quantity") ?? "pulses", unit: options.text("unit") ?? "",
                perPulse: try options.number("per_pulse", in: 1e-9...1e9) ?? 1))
    }

    /// A door, a motion detector, a float.
    public static func state(_ options: SensorOptions) throws(SensorError) -> LineKind {
        LineKind(
            counts: .both, debounceNanoseconds: Int64((try options.number("debounce_ms", in: 0...10_000) ?? 20) * 1e6),
            meaning: .state(quantity: options.text("quantity") ?? "state"))
    }

    /// What the line has to say since the last reading. `before` is its count then.
    public func quantities(_ watch: inout LineWatch, before: Int64, nowNanoseconds: Int64) -> [Quantity] {
        watch.settle(nowNanoseconds: nowNanoseconds)
        let changes = watch.takeChanges()
        switch meaning {
        case .counter(let name, let unit, let perPulse):
            let pulses = Double(watch.count - before)
            return [Quantity(name, pulses * perPulse, unit: unit, raw: perPulse == 1 ? nil : pulses)]
        case .state(let name):
            guard !changes.isEmpty else { return [Quantity(name, watch.isActive ? 1 : 0)] }
            return changes.map { change in
                var quantity = Quantity(name, change.isActive ? 1 : 0)
                quantity.agoNanoseconds = max(0, nowNanoseconds - change.timeNanoseconds)
                return quantity
            }
        }
    }
}
