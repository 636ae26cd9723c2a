import CEdgeSystem
import Foundation
import TextParts

/// Times at the edges: RFC 3339 in UTC with milliseconds inside answers, either that or seconds since 1970 in questions.
enum ISOTime {
    /// `2026-11-21T01:27:44.750Z`
    ///
    /// Memory: both values are this function's, and `gmtime_r` borrows them for the call; the zone's name in `parts` is not read.
    static func text(_ nanoseconds: Int64) -> String {
        let seconds = nanoseconds.flooredDivision(by: 1_000_000_000)
        let milliseconds = (nanoseconds - seconds * 1_000_000_000) / 1_000_000
        var time = time_t(seconds)
        var parts = unsafe tm()
        unsafe gmtime_r(&time, &parts)
        func digits(_ value: Int, _ width: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
        }
        return
            unsafe "\(digits(Int(parts.tm_year) + 1900, 4))-\(digits(Int(parts.tm_mon) + 1, 2))-\(digits(Int(parts.tm_mday), 2))"
            + "T\(digits(Int(parts.tm_hour), 2)):\(digits(Int(parts.tm_min), 2)):\(digits(Int(parts.tm_sec), 2)).\(digits(Int(milliseconds), 3))Z"
    }

    /// Nil when the text is no time.
    ///
    /// Memory: the texts and `seconds` are borrowed for the call, which returns a count and no pointer.
    static func nanoseconds(_ text: String) -> Int64? {
        if let first = text.utf8.first,
            first == 0x2D || text.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == 0x2E }), !text.isEmpty
        {
            let parts = text.parts(at: ".", maximumSplits: 1, omittingEmpty: false)
            guard let whole = Int64(parts[0]), whole.magnitude < 9_000_000_000 else { return nil }
            return whole * 1_000_000_000 + (parts.count > 1 ? fraction(parts[1]) : 0)
        }
        var seconds: Int64 = 0
        let formats = ["%Y-%m-%dT%H:%M:%S", "%Y%m%dT%H%M%S", "%Y-%m-%d"]
        guard let used = formats.lazy.map({ unsafe Int(edge_parse_time(text, $0, &seconds)) }).first(where: { $0 >= 0 })
        else {
            return nil
        }
        var rest = Substring(String(decoding: text.utf8.dropFirst(used), as: UTF8.self))
        var nanoseconds: Int64 = 0
        if rest.hasPrefix(".") {
            let digits = rest.dropFirst().prefix { $0.isNumber }
            nanoseconds = fraction(digits)
            rest = rest.dropFirst(1 + digits.count)
        }
        guard rest.isEmpty || rest == "Z" || rest == "+00:00" else { return nil }
        let (whole, isBeyond) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return isBeyond ? nil : whole &+ nanoseconds
    }

    /// The nanoseconds that digits behind the point mean.
    private static func fraction(_ digits: some StringProtocol) -> Int64 {
        let nine = digits.prefix(9)
        return Int64(nine + String(repeating: "0", count: 9 - nine.count)) ?? 0
    }
}
