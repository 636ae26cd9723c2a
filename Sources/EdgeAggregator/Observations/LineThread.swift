import CEdgeSystem
import Foundation
import Sensors
import Synchronization

/// Listens to the input lines of one GPIO chip, on one thread.
///
/// The kernel stamps edges and keeps up to 1024 of a line, so there is no hurry: after a wake-up the thread waits a moment
/// for more, and takes them all at once.
final class LineThread: Sendable {
    /// How long edges are gathered; well below what the kernel keeps at 10 kHz.
    private static let gatherMicroseconds: UInt32 = 10_000
    /// How often a line without edges is looked at.
    private static let lookMilliseconds: Int32 = 20
    private static let mostReads = 8
    private static let mailboxNumber: UInt64 = 0

    private struct Entry {
        let line: InputLine
        let kind: LineKind
        var watch: LineWatch
        var countBefore: Int64 = 0
        let onChange: @Sendable () -> Void
    }

    private struct State: @unchecked Sendable {
        // The lines are used under the lock alone.
        var entries: [UInt64: Entry] = [:]
        var next: UInt64 = 1
        var isStarted = false
    }

    /// Where its lines are asked: one after the other, as they share the lock.
    let queue = DispatchQueue(label: "lines")
    private let state = Mutex(State())
    private let poll = edge_poll_make()
    private let wakeUp = edge_wakeup_make()

    deinit {
        close(poll)
        close(wakeUp)
    }

    /// Begins to listen.
    ///
    /// - Parameter onChange: heard on the thread when the line has changed and it matters.
    func open(
        _ place: LinePlace, _ kind: LineKind, onChange: @escaping @Sendable () -> Void
    ) throws(LineError) -> UInt64 {
        try state.withLock { (state) throws(LineError) -> UInt64 in
            var watch = LineWatch(
                isActive: false, counts: kind.counts, debounceNanoseconds: kind.debounceNanoseconds)
            let line = try InputLine(place, edges: watch.edges)
            watch.begin(isActive: line.isActive() ?? false)
            let number = state.next
            state.next += 1
            state.entries[number] = Entry(line: line, kind: kind, watch: watch, onChange: onChange)
            if let descriptor = line.descriptor { _ = edge_poll_watch(poll, descriptor, number, true, true) }
            if !state.isStarted { start(&state) }
            edge_wakeup_signal(wakeUp)
            return number
        }
    }

    /// What a line has to say; nil when its chip is gone, and it must be opened again.
    func take(_ number: UInt64) -> (quantities: [Quantity], count: Int64, missed: Int64)? {
        state.withLock { state in
            guard var entry = state.entries[number] else { return nil }
            guard entry.line.isActive() != nil else {
                forget(number, &state)
                return nil
            }
            drain(&entry)
            let quantities = entry.kind.quantities(
                &entry.watch, before: entry.countBefore, nowNanoseconds: edge_monotonic_ns())
            entry.countBefore = entry.watch.count
            state.entries[number] = entry
            return (quantities, entry.watch.count, entry.watch.missedEdges)
        }
    }

    private func start(_ state: inout State) {
        state.isStarted = true
        _ = edge_poll_watch(poll, wakeUp, Self.mailboxNumber, true, true)
        let thread = Thread { [weak self] in
            var numbers = [UInt64](repeating: 0, count: 64)
            while let self { self.work(&numbers) }
        }
        thread.name = "lines"
        thread.stackSize = 256 << 10
        thread.start()
    }

    /// Memory: `numbers` is the thread's own and borrowed for the call, which writes no more of it than its length.
    private func work(_ numbers: inout [UInt64]) {
        let timeout = state.withLock { state -> Int32 in
            if state.entries.values.contains(where: { $0.line.descriptor == nil }) { return Self.lookMilliseconds }
            guard let next = state.entries.values.compactMap(\.watch.settlesAtNanoseconds).min() else { return 60_000 }
            return Int32(clamping: max(0, next - edge_monotonic_ns()) / 1_000_000 + 1)
        }
        let count = unsafe edge_poll_wait(poll, &numbers, Int32(numbers.count), timeout)
        if numbers.prefix(max(0, Int(count))).contains(Self.mailboxNumber) { edge_wakeup_clear(wakeUp) }
        if count > 0 { usleep(Self.gatherMicroseconds) }
        let changed = state.withLock { state -> [@Sendable () -> Void] in
            var changed: [@Sendable () -> Void] = []
            for (number, var entry) in state.entries {
                guard drain(&entry) else {
                    forget(number, &state)
                    changed.append(entry.onChange)
                    continue
                }
                if !entry.watch.changes.isEmpty, case .state = entry.kind.meaning { changed.append(entry.onChange) }
                state.entries[number] = entry
            }
            return changed
        }
        for hear in changed { hear() }
    }

    /// False when the chip is gone.
    @discardableResult private func drain(_ entry: inout Entry) -> Bool {
        guard entry.line.descriptor != nil else {
            guard let isActive = entry.line.isActive() else { return false }
            entry.watch.look(isActive: isActive, nowNanoseconds: edge_monotonic_ns())
            return true
        }
        // A pin that floats may change faster than it can be read: no more than the kernel keeps, and then the others.
        for _ in 0..<Self.mostReads {
            guard let edges = entry.line.edges() else { return false }
            if edges.isEmpty { break }
            for edge in edges { entry.watch.take(edge) }
        }
        let now = edge_monotonic_ns()
        entry.watch.settle(nowNanoseconds: now)
        if entry.watch.isLookDue(nowNanoseconds: now) {
            guard let isActive = entry.line.isActive() else { return false }
            entry.watch.look(isActive: isActive, nowNanoseconds: now)
        }
        return true
    }

    private func forget(_ number: UInt64, _ state: inout State) {
        guard let entry = state.entries.removeValue(forKey: number) else { return }
        if let descriptor = entry.line.descriptor { _ = edge_poll_forget(poll, descriptor) }
    }
}
