/// Decides what is analysed next: fair over listeners, live sound before backlog.
///
/// - Live windows are taken round robin, one of each listener in turn, so that a listener that sends much cannot
///   delay one that sends little. Each listener has room for `windowsPerListener`; what does not fit is left to the
///   recording on disk.
/// - Backlog (recordings of a pushed or an earlier session) is worked off when no live window waits, also round
///   robin, and gets one turn in ``backlogShare`` when they do, so that it always moves.
///
/// A value type: it holds no threads, locks or clocks.
struct AnalysisScheduler<Live, Backlog> {
    /// One turn in so many goes to the backlog while live windows wait.
    static var backlogShare: Int { 16 }

    enum Work {
        case live(Live)
        case backlog(Backlog)
    }

    private var live = FairQueue<Live>()
    private var backlog = FairQueue<Backlog>()
    private let windowsPerListener: Int
    private var turns = 0

    init(windowsPerListener: Int) {
        self.windowsPerListener = windowsPerListener
    }

    var liveCount: Int { live.count }
    var backlogCount: Int { backlog.count }

    /// Whether there was room. If not, the window is analysed from the disk later.
    mutating func offer(live window: Live, listener: String) -> Bool {
        guard live.count(of: listener) < windowsPerListener else { return false }
        live.append(window, key: listener)
        return true
    }

    mutating func add(backlog work: Backlog, listener: String) {
        backlog.append(work, key: listener)
    }

    mutating func next() -> Work? {
        turns += 1
        if turns % Self.backlogShare == 0, let work = backlog.popFirst() { return .backlog(work) }
        if let window = live.popFirst() { return .live(window) }
        return backlog.popFirst().map { .backlog($0) }
    }
}

/// A queue for each key, emptied in turn.
struct FairQueue<Element> {
    private var queues: [String: [Element]] = [:]
    /// The keys that have elements, in the order of their turns.
    private var turns: [String] = []
    private(set) var count = 0

    func count(of key: String) -> Int { queues[key]?.count ?? 0 }

    mutating func append(_ element: Element, key: String) {
        if queues[key] == nil { turns.append(key) }
        queues[key, default: []].append(element)
        count += 1
    }

    /// The first element of the key whose turn it is; the key goes to the end of the line.
    mutating func popFirst() -> Element? {
        guard !turns.isEmpty else { return nil }
        let key = turns.removeFirst()
        guard var queue = queues[key], !queue.isEmpty else { return nil }
        let element = queue.removeFirst()
        count -= 1
        if queue.isEmpty {
            queues[key] = nil
        } else {
            queues[key] = queue
            turns.append(key)
        }
        return element
    }
}
