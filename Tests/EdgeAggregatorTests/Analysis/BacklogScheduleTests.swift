import EdgeTesting
import Store
import Testing

@testable import EdgeAggregator

@Suite struct BacklogScheduleTests {
    typealias Schedule = BacklogSchedule<String>

    private func recording(_ listener: String, _ number: Int = 0) -> PendingRecording {
        PendingRecording(name: "\(listener)\(number)", listener: listener)
    }

    private func open(_ schedule: inout Schedule) -> [String] {
        var names: [String] = []
        while let entry = schedule.next() { names.append(entry.recording.name) }
        return names
    }

    /// Eight long recordings are open, one of each listener: a ninth listener has its turn when one of them has had its own.
    @Test func aLongRecordingMakesRoomForAListenerThatWaits() {
        var schedule = Schedule(maximumOpen: 8)
        schedule.add(["a", "b", "c", "d", "e", "f", "g", "h"].map { recording($0) })
        #expect(open(&schedule) == ["a0", "b0", "c0", "d0", "e0", "f0", "g0", "h0"])
        // Nobody else waits: they are read to their ends.
        #expect(!schedule.isTurnOver(windows: 100_000))
        schedule.add([recording("i")])
        #expect(schedule.isOtherWaiting && open(&schedule).isEmpty)
        #expect(!schedule.isTurnOver(windows: Schedule.windowsPerTurn - 1))
        #expect(schedule.isTurnOver(windows: Schedule.windowsPerTurn))
        schedule.pause(recording("a"), "a at 32")
        #expect(open(&schedule) == ["i0"])
        // The paused one is known, and goes on where it was when another one has had its turn.
        schedule.add([recording("a")])
        #expect(schedule.waitingCount == 1 && schedule.isTurnOver(windows: Schedule.windowsPerTurn))
        schedule.pause(recording("b"), "b at 32")
        let next = schedule.next()
        #expect(next?.recording.name == "a0" && next?.reader == "a at 32")
        schedule.close(recording("i"))
        let last = schedule.next()
        #expect(last?.reader == "b at 32")
        #expect(!schedule.isTurnOver(windows: 100_000) && schedule.waitingCount == 0 && schedule.openCount == 8)
    }

    /// One listener has all the places and more to come: another one needs one of them, and the rest go on.
    @Test func aListenerWithManyRecordingsKeepsAllPlacesButThoseThatOthersNeed() {
        var schedule = Schedule(maximumOpen: 3)
        schedule.add((0..<10).map { recording("a", $0) })
        #expect(open(&schedule) == ["a0", "a1", "a2"])
        #expect(!schedule.isOtherWaiting && !schedule.isTurnOver(windows: 1000))
        schedule.add([recording("b"), recording("b", 1)])
        #expect(schedule.isTurnOver(windows: 1000))
        schedule.pause(recording("a", 1), "a1 at 1000")
        #expect(open(&schedule) == ["b0"])
        // Both have recordings open now: nobody has to make room, and who waited longer is next.
        #expect(!schedule.isTurnOver(windows: 1000))
        schedule.close(recording("a", 0))
        let next = schedule.next()
        #expect(next?.recording.name == "a1" && next?.reader == "a1 at 1000")
    }

    /// Every recording is read to its end, once, in every order, and each has its turn within a bounded number of turns of others.
    @Test func readsEverythingToItsEndInEveryOrder() {
        var random = SeededGenerator()
        for _ in 0..<100 {
            var schedule = BacklogSchedule<Int>(maximumOpen: Int.random(in: 1...4, using: &random))
            var left: [String: Int] = [:]
            var opened: [PendingRecording] = []
            var begun: Set<String> = []
            var turns = 0
            for listener in 0..<6 {
                let recordings = (0..<Int.random(in: 1...4, using: &random)).map { recording("l\(listener)-", $0) }
                for recording in recordings { left[recording.name] = Int.random(in: 1...90, using: &random) }
                schedule.add(recordings)
            }
            let turnsNeeded = left.values.reduce(0) { $0 + ($1 + 31) / 32 }
            while !left.isEmpty {
                while let entry = schedule.next() {
                    #expect(entry.reader == nil || entry.reader == left[entry.recording.name])
                    #expect(begun.insert(entry.recording.name).inserted == (entry.reader == nil))
                    opened.append(entry.recording)
                }
                #expect(!opened.isEmpty)
                let place = Int.random(in: opened.indices, using: &random)
                let recording = opened[place]
                turns += 1
                let rest = (left[recording.name] ?? 0) - Schedule.windowsPerTurn
                left[recording.name] = rest > 0 ? rest : nil
                if rest <= 0 {
                    schedule.close(recording)
                } else if schedule.isTurnOver(windows: Schedule.windowsPerTurn) {
                    schedule.pause(recording, rest)
                } else {
                    continue
                }
                opened.remove(at: place)
            }
            #expect(turns == turnsNeeded && schedule.openCount == 0 && schedule.waitingCount == 0)
        }
    }
}
