import FieldNodes
import Store
import Synchronization

/// The newest reading of each node, as text that is ready to be sent. A node's text is made anew when the node has changed,
/// also by another process.
final class LatestMeasurements: Sendable {
    private struct Known {
        var version: Int64
        var name: String
        var seconds: Int64
        var text: [UInt8]
    }

    private let store: Store
    private let text: MeasurementText
    private let known = Mutex<[Int64: Known]>([:])

    init(store: Store, text: MeasurementText) {
        self.store = store
        self.text = text
    }

    /// `{"measurements":[…]}` of the nodes whose newest reading is not older, by their ids.
    ///
    /// - Parameter earliestSeconds: UTC; nil for all.
    func all(earliestSeconds: Int64?) async throws -> [UInt8] {
        let versions = try await store.nodeVersions(kind: NodeKind.isems.rawValue)
        let old = known.withLock { known in versions.filter { known[$0.id]?.version != $0.version } }
        if !old.isEmpty {
            let newest = try await store.newestReadings(of: old.map(\.id), layout: ISEMSIntake.layout)
            known.withLock { known in
                for (id, version) in old {
                    guard let reading = newest[id] else { continue }
                    var bytes: [UInt8] = []
                    text.add(reading, to: &bytes)
                    known[id] = Known(
                        version: version, name: reading.key.name, seconds: reading.timeNanoseconds / 1_000_000_000,
                        text: bytes)
                }
            }
        }
        return known.withLock { known in
            let shown = known.values.filter { one in earliestSeconds.map { one.seconds >= $0 } ?? true }
                .sorted { Array($0.name.utf8).lexicographicallyPrecedes(Array($1.name.utf8)) }
            var bytes = Array("{\"measurements\":[".utf8)
            bytes.reserveCapacity(shown.reduce(32) { $0 + $1.text.count + 1 })
            for (place, one) in shown.enumerated() {
                if place > 0 { bytes.append(UInt8(ascii: ",")) }
                bytes.append(contentsOf: one.text)
            }
            bytes += Array("]}\n".utf8)
            return bytes
        }
    }
}
