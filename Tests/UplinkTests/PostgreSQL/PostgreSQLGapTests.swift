import EdgeTesting
import Store
import Testing

@testable import Uplink

@Suite struct PostgreSQLGapTests {
    /// Deliveries whose facts are gone are not sent, so they do not show that a server accepts anything.
    @Test func nothingIsSentOfFactsThatAreGone() async throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        let store = try Store(path: "\(folder)/edge.db")
        defer { store.close() }
        // Nobody listens on the discard port.
        let sink = PostgreSQLSink(url: "postgresql://a:b@127.0.0.1:9/field", aggregator: "box-1", store: store)
        let kinds: [DeliveryKind] = [.detections, .observations, .coverage, .analysis, .catalogue]
        let deliveries: [DeliveryRecord] = kinds.enumerated().map { number, kind in
            DeliveryRecord(id: Int64(number), sink: "postgres", kind: kind, firstID: 7, lastID: 9)
        }
        let report = await sink.deliver(deliveries)
        #expect(report.farEnd == .well)
        for delivery in deliveries {
            if case .void = report.outcomes[delivery.id] { continue }
            Issue.record("\(delivery.kind)")
        }
    }
}
