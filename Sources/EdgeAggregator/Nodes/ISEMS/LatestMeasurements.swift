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

    /// An answer, for as long as it is right.
    private struct Made {
        let mark: NodeMark
        let isAll: Bool
        /// Of the oldest that is shown: until then nobody has to be left out.
        let oldestSeconds: Int64
        let bytes: [UInt8]
    }

    private struct State {
        var known: [Int64: Known] = [:]
        var made: Made?
    }

    private let store: Store
    private let text: MeasurementText
    private let state = Mutex(State())

    init(store: Store, text: MeasurementText) {
        self.store = store
        self.text = text
    }

    /// `{"measurements":[…]}` of the nodes whose newest reading is not older, by their ids.
    ///
    /// - Parameter earliestSeconds: UTC; nil for all.
    func all(earliestSeconds: Int64?) async throws -> [UInt8] {
        let mark = try await store.nodeMark(kind: NodeKind.isems.rawValue)
        let made = state.withLock { $0.made }
        if let made, made.mark == mark, made.isAll == (earliestSeconds == nil),
            made.oldestSeconds >= earliestSeconds ?? .min
        {
            return made.bytes
        }
        try await learn()
        return state.withLock { state in
            let shown = state.known.values.filter { one in earliestSeconds.map { one.seconds >= $0 } ?? true }
                .sorted { $0.name < $1.name }
            var bytes = Array("{\"measurements\":[".utf8)
            bytes.reserveCapacity(shown.reduce(32) { $0 + $1.text.count + 1 })
            for (place, one) in shown.enumerated() {
                if place > 0 { bytes.append(UInt8(ascii: ",")) }
                bytes.append(contentsOf: one.text)
            }
            bytes += Array("]}\n".utf8)
            state.made = Made(
                mark: mark, isAll: earliestSeconds == nil, oldestSeconds: shown.map(\.seconds).min() ?? .max,
                bytes: bytes)
            return bytes
        }
    }

    /// Makes the texts anew of nodes that have changed.
    private func learn() async throws {
        let versions = try await store.nodeVersions(kind: NodeKind.isems.rawValue)
        let old = state.withLock { state in versions.filter { state.known[$0.id]?.version != $0.version } }
        guard !old.isEmpty else { return }
        let newest = try await store.newestReadings(of: old.map(\.id), layout: ISEMSIntake.layout)
        state.withLock { state in
            for (id, version) in old {
                guard let reading = newest[id] else { continue }
                var bytes: [UInt8] = []
                text.add(reading, to: &bytes)
                state.known[id] = Known(
                    version: version, name: reading.key.name, seconds: reading.timeNanoseconds / 1_000_000_000,
                    text: bytes)
            }
        }
    }
}
