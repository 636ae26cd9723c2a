import EdgeTesting
import Testing

@testable import Store

/// Names that Unicode calls equivalent (UAX #15: U+00C5, and U+0041 U+030A) are different ones, as SQLite has it.
@Suite struct EquivalentNamesTests {
    private let names = ["\u{C5}", "A\u{30A}"]

    @Test func areKeysOfDifferentNodes() {
        #expect(Set(names.map { NodeKey(kind: "isems", name: $0) }).count == 2)
    }

    @Test func areDifferentSourcesOfObservations() {
        let facts = names.map { name in
            ObservationFact(
                deliveryID: 1,
                observation: ObservationRecord(
                    source: "isems/\(name)", quantity: "battery", unit: "V", timeNanoseconds: 5, value: 1,
                    timeQuality: "local", bootID: "", monotonicNanoseconds: 0))
        }
        #expect(facts.byMoment.map(\.count) == [1, 1])
    }

    @Test func bothHaveTheirReadings() async throws {
        let folder = try TestFolders.temporary("edge-names")
        defer { TestFolders.remove(folder) }
        let store = try Store(path: "\(folder)/edge.db", options: Store.Options())
        defer { store.close() }
        let batches = names.map { name in
            var batch = ReadingBatch(
                key: NodeKey(kind: "isems", name: name), layout: ReadingLayout([(name: "battery", unit: "V")]))
            batch.add(timeNanoseconds: 1_530_364_575_000_000_000, [12.5])
            return StoreChange.readings(batch)
        }
        #expect(try await store.newReadings(in: batches) == 2)
        try await store.commit(batches)
        let stored = try await store.deviceNames().nodes.map { Array($0.name.utf8) }
        // Python: "Å".encode(), "A\u030a".encode()
        #expect(Set(stored) == [[0xC3, 0x85], [0x41, 0xCC, 0x8A]])
    }
}
