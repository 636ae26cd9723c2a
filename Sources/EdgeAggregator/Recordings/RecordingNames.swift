import Foundation
import Store
import Synchronization
import TextParts

/// Gives recordings their names: `<listener>_<start>.<extension>`, unique on the box for ever.
///
/// The name is the recording's identity, not its time: it never changes, also when the time is corrected later. It
/// never lies about the future either: audio pushed faster than real time is counted ahead of the clock, so its names
/// stop at the clock and take a number.
final class RecordingNames: Sendable {
    /// Maximum number of listeners whose names are cached.
    private static let maximumListeners = 4096
    /// Maximum number of seconds of a listener whose counts are cached.
    private static let maximumSeconds = 256

    /// What was given to one listener. A name that was given may be neither on disk nor in the store: its recording was too
    /// short and is gone, and its row is still on its way.
    private struct Issued {
        /// No name of an earlier start of the program is of a later second; nil when that is not known.
        var latestBefore: String?
        /// How many names each second has.
        var counts: [String: Int] = [:]
        var forgotten: Forgotten
    }

    /// What bounds the names whose counts are no longer cached.
    private struct Forgotten {
        /// They are of no later second, and have no greater number.
        var latestSecond = ""
        var greatestCount = 0

        mutating func take(_ second: String, _ count: Int) {
            latestSecond = max(latestSecond, second)
            greatestCount = max(greatestCount, count)
        }
    }

    /// The names of one listener, behind a lock of their own: finding a free name may have to ask the disk, and other listeners
    /// must not wait for that.
    private final class Names: Sendable {
        enum State {
            case new(Forgotten)
            case issued(Issued)
            /// No longer in the table: whoever still holds it must look again.
            case retired
        }

        let state: Mutex<State>

        init(_ forgotten: Forgotten) { state = Mutex(.new(forgotten)) }
    }

    private struct State {
        var names: [String: Names] = [:]
        var forgotten = Forgotten()
    }

    private let state = Mutex(State())
    private let isTaken: @Sendable (String) -> Bool
    private let latestSecond: @Sendable (String) -> String?
    private let isOnDisk: @Sendable (String) -> Bool

    /// - Parameters:
    ///   - isTaken: whether a name stands in the store or on disk already.
    ///   - isOnDisk: whether a file has the name. Recovery leaves files without a row that it cannot read, and an upload that is
    ///     moved to such a name would replace the file.
    ///   - latestSecond: the latest second in a listener's names, `""` for no name, nil when it cannot be told. With
    ///     it, a name of a later second is known to be free without asking.
    init(
        isTaken: @escaping @Sendable (String) -> Bool, latestSecond: @escaping @Sendable (String) -> String?,
        isOnDisk: @escaping @Sendable (String) -> Bool = { _ in false }
    ) {
        self.isTaken = isTaken
        self.latestSecond = latestSecond
        self.isOnDisk = isOnDisk
    }

    /// - Parameters:
    ///   - startNanoseconds: UTC start of the recording.
    ///   - nowNanoseconds: UTC now.
    func name(for listener: String, startNanoseconds: Int64, nowNanoseconds: Int64, fileExtension: String) -> String {
        let second = Self.stamp(nanoseconds: min(startNanoseconds, nowNanoseconds))
        while true {
            let names = state.withLock { state in
                if let names = state.names[listener] { return names }
                if state.names.count >= Self.maximumListeners { forgetListeners(&state) }
                let names = Names(state.forgotten)
                state.names[listener] = names
                return names
            }
            let name = names.state.withLock { state -> String? in
                var own: Issued
                switch state {
                case .retired: return nil
                case .issued(let issued): own = issued
                case .new(let forgotten): own = Issued(latestBefore: latestSecond(listener), forgotten: forgotten)
                }
                // Not held twice, so that its tables are changed in place.
                state = .retired
                defer { state = .issued(own) }
                return issue(listener, second, fileExtension, &own)
            }
            if let name { return name }
        }
    }

    private func issue(_ listener: String, _ second: String, _ fileExtension: String, _ own: inout Issued) -> String {
        var count =
            own.counts[second] ?? (second <= own.forgotten.latestSecond ? own.forgotten.greatestCount : 0)
        var name: String
        repeat {
            count += 1
            let suffix = count == 1 ? "" : "-\(count)"
            name = "\(listener)_\(second)\(suffix).\(fileExtension)"
            if let latest = own.latestBefore, second > latest, !isOnDisk(name) { break }
        } while isTaken(name)
        if own.counts.count >= Self.maximumSeconds, own.counts[second] == nil { forgetSeconds(&own) }
        own.counts[second] = count
        return name
    }

    private func forgetListeners(_ state: inout State) {
        for names in state.names.values {
            names.state.withLock { own in
                if case .issued(let issued) = own {
                    state.forgotten.take(issued.forgotten.latestSecond, issued.forgotten.greatestCount)
                    for (second, count) in issued.counts { state.forgotten.take(second, count) }
                }
                own = .retired
            }
        }
        state.names = [:]
    }

    /// Keeps the later half, which is the one that is asked for.
    private func forgetSeconds(_ own: inout Issued) {
        let seconds = own.counts.keys.sorted()
        for second in seconds.prefix(seconds.count / 2) {
            own.forgotten.take(second, own.counts.removeValue(forKey: second) ?? 0)
        }
    }

    /// The latest second in a listener's names in the store.
    static func latestSecond(of listener: String, store: Store) -> String? {
        guard let name = store.greatestNameBlocking(from: "\(listener)_0", below: "\(listener)_:") else { return nil }
        if name.isEmpty { return "" }
        // Another listener's id may begin with this one's and an underscore.
        let stamp = name.dropFirst(listener.utf8.count + 1).prefix(16)
        let isStamp =
            stamp.utf8.count == 16 && stamp.hasSuffix("Z") && stamp.utf8.dropFirst(8).first == UInt8(ascii: "T")
        return isStamp ? String(stamp) : nil
    }

    /// Whether a name stands in the store or on disk; a name just given is on disk before it is in the store.
    static func isTaken(_ name: String, store: Store, folder: String) -> Bool {
        store.isRecordedBlocking(name: name) == true || isOnDisk(name, folder: folder)
    }

    /// Whether a file has the name, in the folder of its listener or, as the replaced receiver had it, beside the folders. Where a folder
    /// cannot be looked into none has: nothing can be put there either.
    ///
    /// Memory: the paths are borrowed for the calls.
    static func isOnDisk(_ name: String, folder: String) -> Bool {
        guard let listener = name.halves(atLast: "_")?.before else { return false }
        return unsafe access("\(folder)/\(listener)/\(name)", F_OK) == 0 || access("\(folder)/\(name)", F_OK) == 0
    }

    /// `20261121T012744Z`
    static func stamp(nanoseconds: Int64) -> String {
        var seconds = time_t(nanoseconds.flooredDivision(by: 1_000_000_000))
        // Memory: both values are this function's, and `gmtime_r` borrows them for the call; the zone's name is not read.
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
