import EdgeTesting
import Testing

@testable import EdgeAggregator

@Suite struct AnalysisSchedulerTests {
    typealias Scheduler = AnalysisScheduler<String, String>

    private func take(_ scheduler: inout Scheduler) -> String? {
        switch scheduler.next() {
        case .live(let work)?, .backlog(let work)?: work
        case nil: nil
        }
    }

    @Test func givesEachListenerItsTurn() {
        var scheduler = Scheduler(windowsPerListener: 3)
        for window in 0..<10 { _ = scheduler.offer(live: "a\(window)", listener: "a") }
        _ = scheduler.offer(live: "b0", listener: "b")
        _ = scheduler.offer(live: "c0", listener: "c")
        var order: [String] = []
        while let work = take(&scheduler) { order.append(work) }
        #expect(order == ["a0", "b0", "c0", "a1", "a2"])
    }

    @Test func refusesWhatAListenerHasNoRoomForAndSaysSo() {
        var scheduler = Scheduler(windowsPerListener: 2)
        let taken = ["a", "a", "a", "b"].map { scheduler.offer(live: "", listener: $0) }
        #expect(taken == [true, true, false, true])
        #expect(scheduler.liveCount == 3)
    }

    @Test func keepsLiveSoundLiveWhileADayOfBacklogWaits() {
        var scheduler = Scheduler(windowsPerListener: 2)
        for part in 0..<4320 { scheduler.add(backlog: "day\(part)", listener: "pusher") }
        scheduler.add(backlog: "small", listener: "other")
        var live = 0
        var backlog: [String] = []
        for _ in 0..<160 {
            _ = scheduler.offer(live: "x", listener: "x")
            switch scheduler.next() {
            case .live: live += 1
            case .backlog(let work): backlog.append(work)
            case nil: break
            }
        }
        // One turn in 16 moves the backlog, and both listeners' backlogs have theirs.
        #expect(live == 150)
        #expect(backlog.prefix(3) == ["day0", "small", "day1"])
    }

    @Test func givesEverythingOnceInEveryOrder() {
        var random = SeededGenerator()
        for _ in 0..<200 {
            var scheduler = Scheduler(windowsPerListener: 4)
            var wanted: Set<String> = []
            var got: [String] = []
            for step in 0..<200 {
                let listener = "\(Int.random(in: 0...5, using: &random))"
                switch Int.random(in: 0...2, using: &random) {
                case 0: if scheduler.offer(live: "l\(step)", listener: listener) { wanted.insert("l\(step)") }
                case 1:
                    scheduler.add(backlog: "b\(step)", listener: listener)
                    wanted.insert("b\(step)")
                default: if let work = take(&scheduler) { got.append(work) }
                }
            }
            while let work = take(&scheduler) { got.append(work) }
            #expect(got.count == wanted.count && Set(got) == wanted)
        }
    }
}
