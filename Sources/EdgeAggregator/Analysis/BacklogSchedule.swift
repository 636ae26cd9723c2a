import Store

/// Decides which recordings on disk are open for reading: fair over listeners.
///
/// A recording is analysed to its end where no other listener waits. Else it is paused after ``windowsPerTurn`` windows, so that
/// long recordings do not hold up the others: a listener of which no recording is open comes before one that has some.
///
/// A value type: it holds no threads, locks or clocks.
struct BacklogSchedule<Reader> {
    /// A paused recording is opened and read up to its place again, which costs about one window.
    static var windowsPerTurn: Int { 32 }

    struct Entry {
        let recording: PendingRecording
        /// Of a recording that was begun.
        let reader: Reader?
    }

    private let maximumOpen: Int
    private var waiting: [String: [Entry]] = [:]
    /// The listeners that wait, in the order of their turns.
    private var turns: [String] = []
    /// Recordings that are known here, those that are open included.
    private var names: Set<String> = []
    private var openByListener: [String: Int] = [:]
    private(set) var openCount = 0

    init(maximumOpen: Int) {
        self.maximumOpen = maximumOpen
    }

    var waitingCount: Int { names.count - openCount }
    var hasRoom: Bool { openCount < maximumOpen }

    /// Whether a listener waits of which no recording is open.
    var isOtherWaiting: Bool { turns.contains { openByListener[$0] == nil } }

    func contains(_ name: String) -> Bool { names.contains(name) }

    /// Whether an open recording is to make room for another one.
    func isTurnOver(windows: Int) -> Bool { windows >= Self.windowsPerTurn && !hasRoom && isOtherWaiting }

    /// Takes recordings that wait; those that are known are left out.
    mutating func add(_ recordings: [PendingRecording]) {
        for recording in recordings where names.insert(recording.name).inserted {
            append(Entry(recording: recording, reader: nil))
        }
    }

    private mutating func append(_ entry: Entry) {
        let listener = entry.recording.listener
        if waiting[listener] == nil { turns.append(listener) }
        // One that was begun is ended first.
        waiting[listener, default: []].insert(entry, at: entry.reader == nil ? waiting[listener]?.count ?? 0 : 0)
    }

    /// The recording that is to be opened now; it counts as open until ``close(_:)`` or ``pause(_:_:)``.
    mutating func next() -> Entry? {
        guard hasRoom, !turns.isEmpty else { return nil }
        let listener = turns.remove(at: turns.firstIndex { openByListener[$0] == nil } ?? 0)
        guard var entries = waiting.removeValue(forKey: listener) else { return nil }
        let entry = entries.removeFirst()
        if !entries.isEmpty {
            waiting[listener] = entries
            turns.append(listener)
        }
        openByListener[listener, default: 0] += 1
        openCount += 1
        return entry
    }

    /// Takes an open recording off.
    mutating func close(_ recording: PendingRecording) {
        guard names.remove(recording.name) != nil else { return }
        openCount -= 1
        let left = openByListener[recording.listener, default: 1] - 1
        openByListener[recording.listener] = left > 0 ? left : nil
    }

    /// Lets an open recording wait for its next turn.
    mutating func pause(_ recording: PendingRecording, _ reader: Reader) {
        close(recording)
        names.insert(recording.name)
        append(Entry(recording: recording, reader: reader))
    }
}

extension BacklogSchedule.Entry: Sendable where Reader: Sendable {}
