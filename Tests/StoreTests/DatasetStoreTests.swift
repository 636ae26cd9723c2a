import EdgeTesting
import Testing

@testable import Store

/// Rows of forecast fields: which are shown, and which are told to an endpoint.
struct DatasetStoreTests {
    private func field(_ state: DatasetRecord.State, bytes: Int64) -> DatasetRecord {
        DatasetRecord(
            id: "wind-2026112100-f003", kind: "wind", source: "GFS", runSeconds: 1_795_219_200,
            validFromSeconds: 1_795_230_000, validToSeconds: 1_795_230_000, path: "wind/20261121/00/f003.nc",
            bytes: bytes, isForecast: state == .partial, createdSeconds: 1_795_240_000, state: state)
    }

    /// Its run never became whole, and its time is past now: it is shown by itself, and sent once.
    @Test func aFieldOfAnUnfinishedRunIsShownWhenItIsOfThePast() async throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        var options = Store.Options()
        options.deliveries = DeliveryPlan(sinks: [.field: ["a"]], holdsUnsynchronised: true)
        let store = try Store(path: "\(folder)/edge.db", options: options)
        defer { store.close() }
        func due() async throws -> Int {
            try await store.dueDeliveries(sink: "a", kinds: [.field], nowNanoseconds: .max, limit: 10).count
        }
        try await store.commit([.dataset(field(.partial, bytes: 1000))])
        let hidden = try await due()
        #expect(hidden == 0)
        try await store.commit([.dataset(field(.ready, bytes: 1200))])
        let shown = try #require(try await store.dataset(id: "wind-2026112100-f003"))
        #expect(shown.state == .ready && shown.bytes == 1200 && !shown.isForecast)
        let sent = try await due()
        #expect(sent == 1)
        // One that is shown stays as it is.
        for again in [field(.ready, bytes: 1), field(.partial, bytes: 2)] { try await store.commit([.dataset(again)]) }
        let kept = try #require(try await store.dataset(id: "wind-2026112100-f003"))
        #expect(kept == shown)
        let total = try await due()
        #expect(total == 1)
    }

    /// A removed field has its row until the bucket has removed it too; it is not kept meanwhile.
    @Test func removedFieldsAreNotCountedAsKept() async throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        var options = Store.Options()
        options.deliveries = DeliveryPlan(sinks: [.field: ["a"], .fieldRemoval: ["a"]], holdsUnsynchronised: true)
        let store = try Store(path: "\(folder)/edge.db", options: options)
        defer { store.close() }
        let fields = (0..<5).map { number in
            var field = self.field(.ready, bytes: 1000)
            field.id = "wind-2026112100-f00\(number)"
            field.path = "wind/20261121/00/f00\(number).nc"
            return field
        }
        try await store.commit(fields.map { .dataset($0) })
        let ids = fields.prefix(2).map(\.id)
        try await store.commit([.datasetsExpire(ids: ids)])
        try await store.commit([.datasetsAreGone(ids: ids, atNanoseconds: 1_795_250_000_000_000_000)])
        let counts = try await store.datasetCounts()
        #expect(counts.map(\.kept) == [3] && counts.map(\.bytes) == [3000] && counts.map(\.expired) == [2])
        // The last ones too.
        let rest = fields.dropFirst(2).map(\.id)
        try await store.commit([.datasetsExpire(ids: rest)])
        let none = try await store.datasetCounts()
        #expect(none.map(\.kept) == [0] && none.map(\.bytes) == [0] && none.map(\.expired) == [5])
    }
}
