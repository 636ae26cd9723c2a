/// What is made of an input line's edges: which of them count, how often it changed, and when. A value without I/O; times are
/// nanoseconds of one steady clock.
public struct LineWatch: Sendable {
    public enum Counts: String, Sendable {
        /// Counted are changes to active, to inactive, or both.
        case rising, falling, both
    }

    public struct Edge: Sendable, Hashable {
        public let timeNanoseconds: Int64
        public let isActive: Bool
        /// The kernel's count of the line's edges, from 1.
        public let number: UInt32

        public init(timeNanoseconds: Int64, isActive: Bool, number: UInt32) {
            self.timeNanoseconds = timeNanoseconds
            self.isActive = isActive
            self.number = number
        }
    }

    /// A change that lasted.
    public struct Change: Sendable, Hashable {
        public let timeNanoseconds: Int64
        public let isActive: Bool
    }

    /// So many changes are kept with their times until they are taken; more are only counted.
    public static let mostChanges = 64

    public private(set) var isActive: Bool
    /// Changes that count, since the start.
    public private(set) var count: Int64 = 0
    /// Edges that the kernel had and could not keep for us.
    public private(set) var missedEdges: Int64 = 0
    public private(set) var changes: [Change] = []
    /// The edges that the line is asked for: only those that count, when it need not be known how long a level lasts.
    public var edges: Counts { debounce == 0 ? counts : .both }
    private let counts: Counts
    private let debounce: Int64
    /// The kernel reads a line's level when it comes to the edge, not when the edge was: of quick ones it may tell a level that has
    /// passed. So, a while after the last edge, the line itself is looked at.
    private static let shortestRest: Int64 = 10_000_000
    private var pending: Change?
    private var restsAtNanoseconds: Int64?
    private var lastNumber: UInt32 = 0

    /// - Parameters:
    ///   - isActive: as the line is now.
    ///   - debounceNanoseconds: a change counts once it has lasted so long; it happened when it began.
    public init(isActive: Bool, counts: Counts, debounceNanoseconds: Int64) {
        self.isActive = isActive
        self.counts = counts
        debounce = debounceNanoseconds
    }

    /// As the line is when it begins.
    public mutating func begin(isActive: Bool) { self.isActive = isActive }

    public mutating func take(_ edge: Edge) {
        settle(nowNanoseconds: edge.timeNanoseconds)
        missedEdges += Int64(max(0, Int32(bitPattern: edge.number &- lastNumber &- 1)))
        lastNumber = edge.number
        guard edges == .both else {
            if edge.isActive == (counts == .rising) { count += 1 }
            return
        }
        restsAtNanoseconds = edge.timeNanoseconds + max(debounce, Self.shortestRest)
        if edge.isActive == isActive {
            pending = nil
        } else {
            pending = Change(timeNanoseconds: edge.timeNanoseconds, isActive: edge.isActive)
            if debounce == 0 { settle(nowNanoseconds: edge.timeNanoseconds) }
        }
    }

    /// Takes a change for good whose time has come.
    public mutating func settle(nowNanoseconds: Int64) {
        guard let change = pending, nowNanoseconds - change.timeNanoseconds >= debounce else { return }
        pending = nil
        isActive = change.isActive
        if counts == .both || (counts == .rising) == change.isActive { count += 1 }
        if changes.count < Self.mostChanges { changes.append(change) }
    }

    /// When ``settle(nowNanoseconds:)`` or a look is due; nil when nothing is pending.
    public var settlesAtNanoseconds: Int64? {
        guard let change = pending else { return restsAtNanoseconds }
        return min(change.timeNanoseconds + debounce, restsAtNanoseconds ?? .max)
    }

    /// Whether the line has come to rest since its last edge, and should be looked at.
    public func isLookDue(nowNanoseconds: Int64) -> Bool {
        restsAtNanoseconds.map { nowNanoseconds >= $0 } ?? false
    }

    public mutating func takeChanges() -> [Change] {
        defer { changes.removeAll(keepingCapacity: true) }
        return changes
    }

    /// For a line without edges, which is looked at again and again, and for one that has come to rest.
    public mutating func look(isActive now: Bool, nowNanoseconds: Int64) {
        restsAtNanoseconds = nil
        guard edges == .both else {
            if now != isActive {
                take(Edge(timeNanoseconds: nowNanoseconds, isActive: now, number: lastNumber &+ 1))
                isActive = now
            }
            return
        }
        if pending.map({ $0.isActive != now }) ?? (now != isActive) {
            take(Edge(timeNanoseconds: nowNanoseconds, isActive: now, number: lastNumber &+ 1))
        } else {
            settle(nowNanoseconds: nowNanoseconds)
        }
    }
}
