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
    private let owner: String

    /// - Parameters:
    ///   - folder: Made if it is missing.
    ///   - prefix: What its name begins with.
    ///   - permit: Asked before each write.
    ///   - budget: What unfinished files of the folder may have together; nil for no limit.
    ///   - owner: Whose file it is for the budget.
    ///
    /// Memory: the template is this function's and borrowed for the call, which writes the name into it; the path is a copy.
    init(
        folder: String, prefix: String, permit: DiskPermit, budget: SpoolBudget? = nil, owner: String = ""
    ) throws(SegmentError) {
        self.permit = permit
        self.budget = budget
        self.owner = owner
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
        if let budget, !budget.take(Int64(data.count), of: owner) {
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
        budget?.give(bytes, of: owner)
    }
}

/// What files of a spool folder that are not whole yet may have together.
final class SpoolBudget: Sendable {
    private struct State {
        var usedBytes: Int64 = 0
        /// Of those whose files count by owner.
        var usedByOwner: [String: Int64] = [:]
        var waitingBytes: Int64 = 0
        var counted: ContinuousClock.Instant?
    }

    private let mostBytes: Int64
    private let maximumBytesOfOwner: Int64
    /// Counts what waits in the folder, whole.
    private let countWaiting: @Sendable () -> Int64
    private let state = Mutex(State())

    /// - Parameters:
    ///   - mostBytes: What all may have together.
    ///   - maximumBytesOfOwner: What the files of one owner may have together.
    init(mostBytes: Int64, maximumBytesOfOwner: Int64 = .max, countWaiting: @escaping @Sendable () -> Int64) {
        self.mostBytes = mostBytes
        self.maximumBytesOfOwner = maximumBytesOfOwner
        self.countWaiting = countWaiting
    }

    /// - Returns: False if the folder would have more than it may.
    func take(_ bytes: Int64, of owner: String = "") -> Bool {
        state.withLock { state in
            guard bytes <= maximumBytesOfOwner - state.usedByOwner[owner, default: 0] else { return false }
            // Counting reads the folder: at most once a second, and again before a refusal.
            if state.counted.map({ ContinuousClock.now - $0 > .seconds(1) }) ?? true { count(&state) }
            if bytes > mostBytes - state.waitingBytes - state.usedBytes { count(&state) }
            guard bytes <= mostBytes - state.waitingBytes - state.usedBytes else { return false }
            state.usedBytes += bytes
            state.usedByOwner[owner, default: 0] += bytes
            return true
        }
    }

    func give(_ bytes: Int64, of owner: String = "") {
        state.withLock { state in
            state.usedBytes -= bytes
            let left = state.usedByOwner[owner, default: 0] - bytes
            state.usedByOwner[owner] = left > 0 ? left : nil
        }
    }

    /// For uploads of sound: all unfinished ones of the listeners together, and those of one network address half of that. So
    /// nobody can fill the disk with files that never end and have recordings removed for them.
    static func uploads(maximumUploadBytes: Int64) -> SpoolBudget {
        SpoolBudget(
            mostBytes: maximumUploadBytes * 5, maximumBytesOfOwner: maximumUploadBytes * 5 / 2, countWaiting: { 0 })
    }

    private func count(_ state: inout State) {
        state.waitingBytes = countWaiting()
        state.counted = .now
    }
}
