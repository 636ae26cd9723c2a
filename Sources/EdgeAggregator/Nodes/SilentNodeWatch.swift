import Foundation
import Logging
import Sensors
import ServiceLifecycle
import Store
import Synchronization

/// Raises the alarm when an admitted node was not heard of for too long, and says when it is back.
final class SilentNodeWatch: Service, Sendable {
    private let house: NodeHouse
    /// 0 for never.
    private let silentAfterSeconds: Int64
    private let silent = Mutex<Set<NodeKey>>([])

    private static let interval: Duration = .seconds(15)

    init(house: NodeHouse, silentAfterSeconds: Int64) {
        self.house = house
        self.silentAfterSeconds = silentAfterSeconds
    }

    func isSilent(_ node: NodeRecord) -> Bool {
        guard silentAfterSeconds > 0, node.admission == .admitted, node.lastSeenNanoseconds > 0 else { return false }
        return house.time.now().utcNanoseconds - node.lastSeenNanoseconds > silentAfterSeconds * 1_000_000_000
    }

    var silentNodes: [NodeKey] { silent.withLock { $0.sorted { $0.source < $1.source } } }

    func run() async throws {
        guard silentAfterSeconds > 0 else {
            try? await gracefulShutdown()
            return
        }
        await cancelWhenGracefulShutdown { [self] in
            while !Task.isCancelled {
                await look()
                try? await Task.sleep(for: Self.interval)
            }
        }
    }

    private func look() async {
        guard let nodes = try? await house.store.nodes() else { return }
        let now = Set(nodes.filter(isSilent).map(\.key))
        let before = silent.withLock { silent in
            defer { silent = now }
            return silent
        }
        for node in now.subtracting(before) {
            house.logger.warning("A node is silent", metadata: ["node": "\(node.source)"])
            publish(node, "silent")
        }
        for node in before.subtracting(now) {
            house.logger.notice("A node is heard of again", metadata: ["node": "\(node.source)"])
            publish(node, "heard")
        }
    }

    private func publish(_ node: NodeKey, _ state: String) {
        struct Event: Encodable {
            let kind, node, state: String
        }
        guard let data = try? Answer.encoder.encode(Event(kind: node.kind, node: node.name, state: state)) else {
            return
        }
        house.events.publish(EventHub.Event(name: "node", data: String(decoding: data, as: UTF8.self)))
    }
}
