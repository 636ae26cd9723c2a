import Foundation
import TextParts

/// Times as text, in UTC.
public enum UTCText {
    /// `2026-11-21T01:27:44.750211Z`: microseconds, as Python's `isoformat` has them.
    public static func microseconds(_ nanoseconds: Int64) -> String {
        let parts = split(nanoseconds)
        return "\(parts.date)T\(parts.time).\(digits(parts.nanoseconds / 1000, 6))Z"
    }

    /// `2026-11-21T01:27:44Z`
    public static func seconds(_ nanoseconds: Int64) -> String {
        let parts = split(nanoseconds)
        return "\(parts.date)T\(parts.time)Z"
    }

    /// `20261121T012744Z`: ISO 8601, basic form.
    public static func basic(_ nanoseconds: Int64) -> String {
        seconds(nanoseconds).replacingText("-", with: "").replacingText(":", with: "")
    }

    /// Memory: both values are this function's, and `gmtime_r` borrows them for the call; the zone's name in `parts` is not read.
    private static func split(_ nanoseconds: Int64) -> (date: String, time: String, nanoseconds: Int64) {
        var rest = nanoseconds % 1_000_000_000
        if rest < 0 { rest += 1_000_000_000 }
        var seconds = time_t((nanoseconds - rest) / 1_000_000_000)
        var parts = unsafe tm()
        unsafe gmtime_r(&seconds, &parts)
        let date = unsafe "\(digits(Int64(parts.tm_year) + 1900, 4))-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        return (date, unsafe "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))", rest)
    }

    private static func two(_ value: Int32) -> String { digits(Int64(value), 2) }

    private static func digits(_ value: Int64, _ count: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, count - text.count)) + text
    }
}
