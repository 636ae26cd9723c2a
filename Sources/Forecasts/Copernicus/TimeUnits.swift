import TextParts

/// `hours since 1950-01-01`: how the numbers of a time axis are meant.
public struct TimeUnits: Sendable, Equatable {
    private let unitSeconds: Double
    private let epochSeconds: Int64

    public init(_ text: String) throws(ZarrError) {
        let parts = text.parts(at: " ", maximumSplits: 2)
        let units = [
            "milliseconds": 0.001, "seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400, "second": 1,
            "hour": 3600,
            "day": 86_400, "minute": 60,
        ]
        guard parts.count == 3, parts[1] == "since", let unit = units[parts[0].lowercased()],
            let epoch = CalendarTime.seconds(String(parts[2]))
        else { throw ZarrError("the times are in `\(text)`") }
        unitSeconds = unit
        epochSeconds = epoch
    }

    /// Seconds since 1970; nil for what is no time of this world.
    func seconds(_ value: Double) -> Int64? {
        let seconds = value * unitSeconds
        guard seconds.isFinite, abs(seconds) < 1e12 else { return nil }
        return epochSeconds + Int64(seconds.rounded())
    }
}
