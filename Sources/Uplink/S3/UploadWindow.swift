import Foundation
import TextParts

/// The hours of the day, in the box's local time, in which files may be sent: `22:00-06:00`.
public struct UploadWindow: Sendable, Hashable {
    /// Minutes of the day.
    let from: Int
    let to: Int

    /// Nil when the text is not a window.
    public init?(_ text: String) {
        let ends = text.parts(at: "-", omittingEmpty: false).map(Self.minutes)
        guard ends.count == 2, let from = ends[0], let to = ends[1], from != to else { return nil }
        self.from = from
        self.to = to
    }

    private static func minutes(_ text: Substring) -> Int? {
        let parts = text.parts(at: ":", omittingEmpty: false)
        guard parts.count == 2, parts.allSatisfy({ $0.count == 2 && $0.allSatisfy(\.isNumber) }),
            let hour = Int(parts[0]),
            let minute = Int(parts[1]), (0...23).contains(hour) || (hour == 24 && minute == 0),
            (0...59).contains(minute)
        else { return nil }
        return hour * 60 + minute
    }

    /// The end is not in the window.
    public func contains(minuteOfDay: Int) -> Bool {
        from < to ? (from..<to).contains(minuteOfDay) : minuteOfDay >= from || minuteOfDay < to
    }

    /// Memory: both values are this function's, and `localtime_r` borrows them for the call; the zone's name in `parts` is not
    /// read.
    public func contains(utcNanoseconds: Int64) -> Bool {
        var seconds = time_t(utcNanoseconds / 1_000_000_000)
        var parts = unsafe tm()
        unsafe localtime_r(&seconds, &parts)
        return unsafe contains(minuteOfDay: Int(parts.tm_hour) * 60 + Int(parts.tm_min))
    }

    public var text: String {
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(two(from / 60)):\(two(from % 60))-\(two(to / 60)):\(two(to % 60))"
    }
}
