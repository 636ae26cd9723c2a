import CEdgeSystem
import Foundation
import Synchronization

/// A file that is made while it comes in, under a name of its own, and is moved to its place when it is whole.
struct SpoolFile {
    let path: String
    private(set) var bytes: Int64 = 0
    private var descriptor: Int32
    private let permit: DiskPermit
    private let budget: SpoolBudget?

    /// - Parameters:
    ///   - folder: Made if it is missing.
    ///   - prefix: What its name begins with.
    ///   - permit: Asked before each write.
    ///   - budget: What unfinished files of the folder may have together; nil for no limit.
    ///
    /// Memory: the template is this function's and borrowed for the call, which writes the name into it; the path is a copy.
    init(
        folder: String, prefix: String, permit: DiskPermit, budget: SpoolBudget? = nil
    ) throws(SegmentError) {
        self.permit = permit
        self.budget = budget
        try permit.take(0, path: folder)
        // The folder may have been removed while the daemon runs.
        _ = try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var template = Array("\(folder)/\(prefix)-XXXXXX".utf8CString)
        descriptor = unsafe template.withUnsafeMutableBufferPointer { unsafe edge_make_temporary($0.baseAddress) }
        path = unsafe template.withUnsafeBufferPointer {
            unsafe $0.baseAddress.map { unsafe String(cString: $0) } ?? ""
        }
        guard descriptor >= 0 else { throw SegmentError(.create, path: path, errnoValue: errno) }
        fchmod(descriptor, 0o640)
    }

    /// - Throws: ``SegmentError``; with the code `diskFull` also where the permit or the budget is refused.
    ///
    /// Memory: the bytes are the caller's and borrowed for each call.
    mutating func write(_ data: ArraySlice<UInt8>) throws(SegmentError) {
        try permit.take(data.count, path: path)
        if let budget, !budget.take(Int64(data.count)) {
            throw SegmentError(.write, path: path, errnoValue: EDQUOT)
        }
        // Counted before it is written: what a failed write leaves is given back with the rest.
        bytes += Int64(data.count)
        var rest = data
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw SegmentError(.write, path: path, errnoValue: count < 0 ? errno : ENOSPC)
            }
            rest = rest.dropFirst(count)
        }
    }

    func sync() throws(SegmentError) {
        guard fsync(descriptor) == 0 else { throw SegmentError(.sync, path: path, errnoValue: errno) }
    }

    /// Removes it, unless it was moved away.
    ///
    /// Memory: the path is borrowed for the call.
    mutating func discard() {
        guard descriptor >= 0 else { return }
        close(descriptor)
        descriptor = -1
        unsafe unlink(path)
        budget?.give(bytes)
    }
}

/// What files of a spool folder that are not whole yet may have together.
final class SpoolBudget: Sendable {
    private struct State {
        var usedBytes: Int64 = 0
        var waitingBytes: Int64 = 0
        var counted: ContinuousClock.Instant?
    }

    private let mostBytes: Int64
    /// Counts what waits in the folder, whole.
    private let countWaiting: @Sendable () -> Int64
    private let state = Mutex(State())

    init(mostBytes: Int64, countWaiting: @escaping @Sendable () -> Int64) {
        self.mostBytes = mostBytes
        self.countWaiting = countWaiting
    }

    /// - Returns: False if the folder would have more than it may.
    func take(_ bytes: Int64) -> Bool {
        state.withLock { state in
            // Counting reads the folder: at most once a second, and again before a refusal.
            if state.counted.map({ ContinuousClock.now - $0 > .seconds(1) }) ?? true { count(&state) }
            if bytes > mostBytes - state.waitingBytes - state.usedBytes { count(&state) }
            guard bytes <= mostBytes - state.waitingBytes - state.usedBytes else { return false }
            state.usedBytes += bytes
            return true
        }
    }

    func give(_ bytes: Int64) { state.withLock { $0.usedBytes -= bytes } }

    private func count(_ state: inout State) {
        state.waitingBytes = countWaiting()
        state.counted = .now
    }
}
