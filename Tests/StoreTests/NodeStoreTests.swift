import EdgeTesting
import Foundation
import Testing

@testable import Store

/// Rows of nodes: numbered together with observations, delivered, forgotten and corrected with them.
struct NodeStoreTests {
    private static let key = NodeKey(kind: "isems", name: "n1")
    private static let layout = ReadingLayout([("battery", "%"), ("latitude", "°"), ("longitude", "°")])

    private func withStore(_ body: (Store) async throws -> Void) async throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        var options = Store.Options()
        options.commitIntervalMilliseconds = 1
        options.deliveries = DeliveryPlan(sinks: [.observations: ["a"]], holdsUnsynchronised: true)
        let store = try Store(path: "\(folder)/edge.db", options: options)
        defer { store.close() }
        try await body(store)
    }

    private func observation(_ second: Int64) -> StoreChange {
        .observations([
            ObservationRecord(
                source: "s", quantity: "q", unit: "", timeNanoseconds: second, value: 1, timeQuality: "live",
                bootID: "b", monotonicNanoseconds: 0)
        ])
    }

    private func batch(_ times: [Int64], battery: Double = 50, quality: String = "node") -> ReadingBatch {
        var batch = ReadingBatch(key: Self.key, layout: Self.layout)
        for time in times { batch.add(timeNanoseconds: time, [battery, .nan, 13.5], text: "1;x") }
        batch.timeQuality = quality
        return batch
    }

    @Test func readingsAndObservationsShareNumbersAndDeliveries() async throws {
        try await withStore { store in
            for change in [
                .readings(batch([1, 2, 3])), observation(1), .readings(batch([3, 4])), .readings(batch([4])),
                observation(2),
                .readings(batch(Array(10..<60))),
            ] as [StoreChange] {
                try await store.commit([change])
            }
            let due = try await store.dueDeliveries(sink: "a", kinds: [.observations], nowNanoseconds: .max, limit: 100)
            let facts = try await store.observationFacts(of: due)
            // 54 readings of two numbers each (one of three is missing), and two observations; each once, in order.
            #expect(facts.count == 54 * 2 + 2)
            let ids = facts.compactMap(\.observation.id)
            #expect(ids == ids.sorted() && Set(ids) == Set(1...56))
            #expect(due.allSatisfy { $0.facts <= 16 })
            #expect(due.reduce(0) { $0 + $1.facts } == 56)
            for fact in facts {
                let owner = due.first { $0.id == fact.deliveryID }
                #expect(owner.map { ($0.firstID...$0.lastID).contains(fact.observation.id ?? 0) } == true)
            }
            let page = try await store.observations(ObservationFilter())
            #expect(page.first?.id == 56 && page.first?.source == "isems/n1")
            var filter = ObservationFilter()
            filter.source = "isems/n1"
            filter.quantity = "battery"
            filter.beforeID = 10
            filter.limit = 2
            #expect(try await store.observations(filter).map(\.id) == [9, 8])
            filter.quantity = "nothing"
            #expect(try await store.observations(filter).isEmpty)
        }
    }

    @Test func completesAReadingOfAPartOfItsLine() async throws {
        try await withStore { store in
            func add(_ values: [Double], completes: Set<Int>? = nil) async throws {
                var batch = ReadingBatch(key: Self.key, layout: Self.layout)
                batch.add(timeNanoseconds: 5, values)
                batch.completesApartFrom = completes
                try await store.commit([.readings(batch)])
            }
            func numbers() async throws -> [String] {
                try await store.readings(ReadingFilter(key: Self.key)).map { "\($0.id) \($0.numbers)" }
            }
            func facts() async throws -> [Double] {
                let due = try await store.dueDeliveries(
                    sink: "a", kinds: [.observations], nowNanoseconds: .max, limit: 9)
                return try await store.observationFacts(of: due).map(\.observation.value)
            }
            try await add([50, 1, .nan])
            try await add([55, 1, 2])
            #expect(try await numbers() == ["1 [50.0, 1.0, nan]"])
            // Another reading of the same time, one that lacks numbers itself, and one where nothing is missing.
            try await add([55, 3, 2], completes: [0])
            try await add([.nan, 1, 2], completes: [0])
            #expect(try await numbers() == ["1 [50.0, 1.0, nan]"])
            #expect(try await facts() == [50, 1])
            for values in [[55, 1, 2], [56, 1, 2]] as [[Double]] {
                try await add(values, completes: [0])
                #expect(try await numbers() == ["2 [55.0, 1.0, 2.0]"])
                #expect(try await facts() == [55, 1, 2])
            }
        }
    }

    @Test func aNodeIsAsItsNewestReadingSays() async throws {
        try await withStore { store in
            try await store.commit([.readings(batch([100], battery: 80))])
            try await store.commit([.readings(batch([50], battery: 10))])
            let node = try #require(try await store.node(Self.key))
            #expect(node.battery == 80 && node.longitude == 13.5 && node.latitude == nil)
            #expect(node.readingNanoseconds == 100 && node.admission == .admitted)
            try await store.commit([.admitNode(Self.key, .refused, atNanoseconds: 5)])
            try await store.commit([
                .node(NodeSighting(key: Self.key, seenNanoseconds: 7, label: "roof", admission: .waiting))
            ])
            let later = try #require(try await store.node(Self.key))
            #expect(later.admission == .refused && later.label == "roof")
        }
    }

    @Test func forgetsOnlyAWaitingNodeOfWhichNothingIsStored() async throws {
        try await withStore { store in
            let stranger = NodeKey(kind: "co2", name: "stranger")
            let sender = NodeKey(kind: "co2", name: "sender")
            for key in [stranger, sender] {
                try await store.commit([.node(NodeSighting(key: key, seenNanoseconds: 7, admission: .waiting))])
            }
            try await store.commit([.nodeFileAnew(sender, path: "data/x.tsv"), .readings(batch([1]))])
            for key in [stranger, sender, Self.key] { try await store.commit([.forgetWaitingNode(key)]) }
            #expect(try await store.nodes().map(\.key) == [Self.key, sender].sorted { $0.source < $1.source })
        }
    }

    @Test func forgetsWhatIsDeliveredAndOld() async throws {
        try await withStore { store in
            try await store.commit([.readings(batch([1, 2, 3]))])
            try await store.commit([.forgetHistory(beforeNanoseconds: 100, most: 10)])
            #expect(try await store.readings(ReadingFilter(key: Self.key)).count == 3)
            let due = try await store.dueDeliveries(sink: "a", kinds: [.observations], nowNanoseconds: .max, limit: 100)
            try await store.commit([.delivered(due.map { DeliverySettlement($0, .done) }, atNanoseconds: 1)])
            try await store.commit([.forgetHistory(beforeNanoseconds: 3, most: 10)])
            #expect(try await store.readings(ReadingFilter(key: Self.key)).map(\.timeNanoseconds) == [3])
        }
    }

    @Test func movesWhatTheBoxStampedWhenTheClockIsSet() async throws {
        try await withStore { store in
            var unset = batch([1000], quality: "unsynchronised")
            unset.bootID = "b"
            unset.monotonicNanoseconds = 7
            try await store.commit([.readings(unset), .readings(batch([2000]))])
            let held = try await store.dueDeliveries(
                sink: "a", kinds: [.observations], nowNanoseconds: .max, limit: 100)
            #expect(held.reduce(0) { $0 + $1.facts } == 1)
            try await store.commit([.clockIsSet(bootID: "b", offsetNanoseconds: 5_000_000, atNanoseconds: 6_000_000)])
            let readings = try await store.readings(ReadingFilter(key: Self.key))
            #expect(readings.map(\.timeNanoseconds) == [5_000_007, 2000])
            #expect(readings.map(\.timeQuality) == ["corrected", "node"])
            let due = try await store.dueDeliveries(sink: "a", kinds: [.observations], nowNanoseconds: .max, limit: 100)
            #expect(due.reduce(0) { $0 + $1.facts } == 2)
        }
    }

    @Test func keepsRejectedLinesWithinBounds() async throws {
        try await withStore { store in
            for start in stride(from: 0, to: 1200, by: 300) {
                try await store.commit([
                    .rejectedLines(
                        (start..<(start + 300)).map {
                            RejectedLineRecord(key: Self.key, line: "line \($0)", reason: "r", lastNanoseconds: 1)
                        })
                ])
            }
            try await store.commit([
                .rejectedLines([RejectedLineRecord(key: Self.key, line: "line 1199", reason: "r", lastNanoseconds: 9)])
            ])
            let lines = try await store.rejectedLines(kind: nil, limit: 2000)
            #expect(lines.count == 1000 && lines.first?.line == "line 1199" && lines.first?.count == 2)
            #expect(lines.first?.lastNanoseconds == 9)
        }
    }

    @Test func aFileBegunAnewWhileItIsReadIsReadAgain() async throws {
        try await withStore { store in
            func parsed() async throws -> Int64 { try await store.parsedBytes(Self.key, path: "f") }
            func read(_ from: Int64, _ to: Int64) async throws {
                try await store.commit([.nodeFileRead(Self.key, path: "f", from: from, to: to)])
            }
            try await read(0, 400)
            try await read(400, 900)
            #expect(try await parsed() == 900)
            try await store.commit([.nodeFileAnew(Self.key, path: "f")])
            // Who began to read before says how far the old file was read: that counts no more.
            try await read(900, 1200)
            #expect(try await parsed() == -1)
            try await store.commit([.nodeFileAnew(Self.key, path: "f")])
            try await read(-1, 300)
            #expect(try await parsed() == -2)
            try await read(-2, 300)
            #expect(try await parsed() == 300)
        }
    }
}
