import Foundation
import Store
import Synchronization

/// Gives recordings their names: `<listener>_<start>.<extension>`, unique on the box for ever.
///
/// The name is the recording's identity, not its time: it never changes, also when the time is corrected later. It
/// never lies about the future either: audio pushed faster than real time is counted ahead of the clock, so its names
/// stop at the clock and take a number.
final class RecordingNames: Sendable {
    /// Listeners of which is remembered what they have; beyond that all is asked for again.
    private static let mostListeners = 4096

    private struct Issued {
        /// No name of the listener is of a later second; nil when that is not known.
        var latest: String?
        var second = ""
        var count = 0
    }

    private let issued = Mutex<[String: Issued]>([:])
    private let isTaken: @Sendable (String) -> Bool
    private let latestSecond: @Sendable (String) -> String?

    /// - Parameters:
    ///   - isTaken: whether a name stands in the store or on disk already.
    ///   - latestSecond: the latest second in a listener's names, `""` for no name, nil when it cannot be told. With
    ///     it, a name of a later second is known to be free without asking.
    init(isTaken: @escaping @Sendable (String) -> Bool, latestSecond: @escaping @Sendable (String) -> String?) {
        self.isTaken = isTaken
        self.latestSecond = latestSecond
    }

    /// - Parameters:
    ///   - startNanoseconds: UTC start of the recording.
    ///   - nowNanoseconds: UTC now.
    func name(for listener: String, startNanoseconds: Int64, nowNanoseconds: Int64, fileExtension: String) -> String {
        let second = Self.stamp(nanoseconds: min(startNanoseconds, nowNanoseconds))
        return issued.withLock { issued in
            if issued.count >= Self.mostListeners, issued[listener] == nil { issued = [:] }
            var own = issued[listener] ?? Issued(latest: latestSecond(listener))
            var count = own.second == second ? own.count : 0
            var name: String
            repeat {
                count += 1
                let suffix = count == 1 ? "" : "-\(count)"
                name = "\(listener)_\(second)\(suffix).\(fileExtension)"
                if let latest = own.latest, second > latest { break }
            } while isTaken(name)
            own.latest = own.latest.map { max($0, second) }
            own.second = second
            own.count = count
            issued[listener] = own
            return name
        }
    }

    /// The latest second in a listener's names in the store.
    static func latestSecond(of listener: String, store: Store) -> String? {
        guard let name = store.greatestNameBlocking(from: "\(listener)_0", below: "\(listener)_:") else { return nil }
        if name.isEmpty { return "" }
        // Another listener's id may begin with this one's and an underscore.
        let stamp = name.dropFirst(listener.utf8.count + 1).prefix(16)
        let isStamp = stamp.utf8.count == 16 && stamp.hasSuffix("Z") && stamp.dropFirst(8).first == "T"
        return isStamp ? String(stamp) : nil
    }

    /// Whether a name stands in the store or on disk; a name just given is on disk before it is in the store.
    static func isTaken(_ name: String, store: Store, folder: String) -> Bool {
        if store.isRecordedBlocking(name: name) == true { return true }
        guard let underscore = name.lastIndex(of: "_") else { return false }
        return unsafe access("\(folder)/\(name[..<underscore])/\(name)", F_OK) == 0
    }

    /// `20261121T012744Z`
    static func stamp(nanoseconds: Int64) -> String {
        var seconds = time_t(nanoseconds.flooredDivision(by: 1_000_000_000))
        var parts = unsafe tm()
        unsafe gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let date = unsafe "\(parts.tm_year + 1900)\(two(parts.tm_mon + 1))\(two(parts.tm_mday))"
        return unsafe "\(date)T\(two(parts.tm_hour))\(two(parts.tm_min))\(two(parts.tm_sec))Z"
    }
}

extension Int64 {
    /// The quotient rounded towards minus infinity, so that times before 1970 have seconds too.
    func flooredDivision(by divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}
