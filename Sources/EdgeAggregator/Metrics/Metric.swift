import Synchronization

/// A number that only grows.
final class Counter: Sendable {
    private let value = Atomic<Int64>(0)
    func add(_ amount: Int64) { value.add(amount, ordering: .relaxed) }
    var total: Int64 { value.load(ordering: .relaxed) }
}

/// A number that goes up and down.
final class Gauge: Sendable {
    private let bits = Atomic<UInt64>(0)
    func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
    var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// How often values fell below each bound.
final class Histogram: Sendable {
    struct Snapshot: Sendable {
        /// Counts up to and including each bound, and last all.
        var cumulative: [Int64]
        var sum: Double
    }

    let bounds: [Double]
    private let state: Mutex<(counts: [Int64], sum: Double)>

    /// - Parameter bounds: ascending upper bounds, in the metric's unit.
    init(bounds: [Double]) {
        self.bounds = bounds
        state = Mutex((Array(repeating: 0, count: bounds.count + 1), 0))
    }

    func observe(_ value: Double) {
        let index = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock { state in
            state.counts[index] += 1
            state.sum += value
        }
    }

    var snapshot: Snapshot {
        let (counts, sum) = state.withLock { $0 }
        var running: Int64 = 0
        return Snapshot(
            cumulative: counts.map { count in
                running += count
                return running
            }, sum: sum)
    }
}

/// What the recording files cost.
final class StorageMetrics: Sendable {
    let syncSeconds = Histogram(bounds: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10])
    let syncedBytes = Counter()
    let syncFailures = Counter()
    let diskFull = Counter()
    /// Writes for which there was no room, before they were tried.
    let writesRefused = Counter()
}

/// What the analysis costs and yields.
final class AnalysisMetrics: Sendable {
    let inferenceSeconds = Histogram(bounds: [0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10])
    let windows = Counter()
    let windowsSpilled = Counter()
    let windowsGated = Counter()
    let detections = Counter()
    let privacyWindows = Counter()
    let recordingsAnalysed = Counter()
    let failures = Counter()
    /// Seconds from a window's last byte to its detections in the store.
    let lagSeconds = Histogram(bounds: [0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60, 300])
}

/// What came in.
final class ReceptionMetrics: Sendable {
    let bytes = Counter()
    let frames = Counter()
    let framesMissing = Counter()
    let framesDuplicate = Counter()
    let recordings = Counter()
    let recordingsTooShort = Counter()
    let uploads = Counter()
    let uploadsRefused = Counter()
    let refused = Counter()
    /// Times that a connection was not read for a while.
    let pauses = Counter()
    /// Chunks of recorders' notes that were passed over for want of memory.
    let headersNotKept = Counter()
}
