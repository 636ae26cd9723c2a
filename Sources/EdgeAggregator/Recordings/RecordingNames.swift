import Foundation
import Store
import Synchronization

/// Gives recordings their names: `<listener>_<start>.<extension>`, unique on the box for ever.
///
/// The name is the recording's identity, not its time: it never changes, also when the time is corrected later. It
/// never lies about the future either: audio pushed faster than real time is counted ahead of the clock, so its names
/// stop at the clock and take a number.
final class RecordingNames: Sendable {
    /// Per listener: the last second used, and how many names it has.
    private let last = Mutex<[String: (second: String, count: Int)]>([:])
    private let isTaken: @Sendable (String) -> Bool

    /// - Parameter isTaken: whether a name stands in the store or on disk already.
    init(isTaken: @escaping @Sendable (String) -> Bool) {
        self.isTaken = isTaken
    }

    /// - Parameters:
    ///   - startNanoseconds: UTC start of the recording.
    ///   - nowNanoseconds: UTC now.
    func name(for listener: String, startNanoseconds: Int64, nowNanoseconds: Int64, fileExtension: String) -> String {
        let second = Self.stamp(nanoseconds: min(startNanoseconds, nowNanoseconds))
        return last.withLock { last in
            var count = last[listener].map { $0.second == second ? $0.count : 0 } ?? 0
            while true {
                count += 1
                let suffix = count == 1 ? "" : "-\(count)"
                let name = "\(listener)_\(second)\(suffix).\(fileExtension)"
                if !isTaken(name) {
                    last[listener] = (second, count)
                    return name
                }
            }
        }
    }

    /// Whether a name stands in the store or on disk. When the store cannot be asked, the disk must do.
    static func isTaken(_ name: String, store: Store, folder: String) -> Bool {
        if let isRecorded = store.isRecordedBlocking(name: name) { return isRecorded }
        guard let underscore = name.lastIndex(of: "_") else { return false }
        return access("\(folder)/\(name[..<underscore])/\(name)", F_OK) == 0
    }

    /// Forgets listeners that are gone, so that memory does not grow with the names ever seen.
    func forget(listener: String) {
        last.withLock { $0[listener] = nil }
    }

    /// `20261121T012744Z`
    static func stamp(nanoseconds: Int64) -> String {
        var seconds = time_t(nanoseconds.flooredDivision(by: 1_000_000_000))
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let date = "\(parts.tm_year + 1900)\(two(parts.tm_mon + 1))\(two(parts.tm_mday))"
        return "\(date)T\(two(parts.tm_hour))\(two(parts.tm_min))\(two(parts.tm_sec))Z"
    }
}

extension Int64 {
    /// The quotient rounded towards minus infinity, so that times before 1970 have seconds too.
    func flooredDivision(by divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}
