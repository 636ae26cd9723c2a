import CEdgeSystem
import Foundation

/// Times at the edges: RFC 3339 in UTC with milliseconds inside answers, either that or seconds since 1970 in questions.
enum ISOTime {
    /// `2026-11-21T01:27:44.750Z`
    static func text(_ nanoseconds: Int64) -> String {
        let seconds = nanoseconds.flooredDivision(by: 1_000_000_000)
        let milliseconds = (nanoseconds - seconds * 1_000_000_000) / 1_000_000
        var time = time_t(seconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        func digits(_ value: Int, _ width: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
        }
        return "\(digits(Int(parts.tm_year) + 1900, 4))-\(digits(Int(parts.tm_mon) + 1, 2))-\(digits(Int(parts.tm_mday), 2))"
            + "T\(digits(Int(parts.tm_hour), 2)):\(digits(Int(parts.tm_min), 2)):\(digits(Int(parts.tm_sec), 2)).\(digits(Int(milliseconds), 3))Z"
    }

    /// Nil when the text is no time.
    static func nanoseconds(_ text: String) -> Int64? {
        if let seconds = Double(text), abs(seconds) < 9e9 { return Int64(seconds * 1e9) }
        var seconds: Int64 = 0
        let formats = ["%Y-%m-%dT%H:%M:%S", "%Y%m%dT%H%M%S", "%Y-%m-%d"]
        guard let used = formats.lazy.map({ Int(edge_parse_time(text, $0, &seconds)) }).first(where: { $0 >= 0 }) else {
            return nil
        }
        var rest = Substring(String(decoding: text.utf8.dropFirst(used), as: UTF8.self))
        var fraction = 0.0
        if rest.hasPrefix(".") {
            let digits = rest.dropFirst().prefix { $0.isNumber }
            fraction = Double("0.\(digits)") ?? 0
            rest = rest.dropFirst(1 + digits.count)
        }
        guard rest.isEmpty || rest == "Z" || rest == "+00:00" else { return nil }
        return seconds.multipliedReportingOverflow(by: 1_000_000_000).partialValue &+ Int64(fraction * 1e9)
    }
}
