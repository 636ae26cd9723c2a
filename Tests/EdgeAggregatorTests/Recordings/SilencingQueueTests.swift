import Foundation
import Synchronization
import Testing

@testable import EdgeAggregator

private final class Notes: Sendable {
    private let notes = Mutex<[String]>([])

    var all: [String] { notes.withLock { $0 } }

    func add(_ note: String) { notes.withLock { $0.append(note) } }

    func count(_ note: String) -> Int { all.count { $0 == note } }
}

@Suite struct SilencingQueueTests {
    /// Takes processor time until the turn is over, or for so many questions.
    private static func work(_ turn: SilencingQueue.Turn, most: Int = .max) -> Bool {
        var asked = 0
        while asked < most, turn.mayGoOn() { asked += 1 }
        return !turn.isOver
    }

    /// A file of one listener that would take for ever: that of another one is done nevertheless, and the first one ends later.
    @Test func aLongFileDoesNotHoldUpAnotherListener() {
        let queue = SilencingQueue(turnSeconds: 0.01)
        defer { queue.stop() }
        let notes = Notes()
        let done = DispatchSemaphore(value: 0)
        queue.add(listener: "a") { turn in
            notes.add("a begins")
            // Nothing ends it before the others are through.
            let isThrough = notes.count("b ends") > 0
            guard Self.work(turn, most: isThrough ? 1 : .max) else { return false }
            notes.add("a ends")
            done.signal()
            return true
        }
        queue.add(listener: "a") { _ in
            notes.add("a's second ends")
            done.signal()
            return true
        }
        queue.add(listener: "b") { _ in
            notes.add("b ends")
            done.signal()
            return true
        }
        for _ in 0..<3 { done.wait() }
        #expect(notes.count("a begins") >= 2)
        let ends = notes.all.filter { $0.hasSuffix("ends") }
        #expect(ends.first == "b ends" || ends.dropFirst().first == "b ends")
        #expect(ends.last == "a ends" && ends.count == 3)
    }

    /// Where nobody else waits, work goes on to its end, however long it takes: what was done is not done twice.
    @Test func aFileThatIsAloneIsNotInterrupted() {
        let queue = SilencingQueue(turnSeconds: 0.0001)
        defer { queue.stop() }
        let notes = Notes()
        let done = DispatchSemaphore(value: 0)
        queue.add(listener: "a") { turn in
            notes.add("begins")
            let isDone = Self.work(turn, most: 100_000)
            done.signal()
            return isDone
        }
        done.wait()
        #expect(notes.count("begins") == 1)
    }

    @Test func endsWhatIsBeingDoneWhenTheProgramStops() {
        let queue = SilencingQueue()
        let begun = DispatchSemaphore(value: 0)
        let ended = DispatchSemaphore(value: 0)
        queue.add(listener: "a") { turn in
            begun.signal()
            let isDone = Self.work(turn)
            ended.signal()
            return isDone
        }
        begun.wait()
        queue.stop()
        ended.wait()
    }
}
