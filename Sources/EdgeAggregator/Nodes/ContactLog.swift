import FieldNodes
import Logging
import ServiceLifecycle
import Synchronization
import TextParts

/// Writes a line for each contact of a node, for operators who search the log for a node's name: at info, or at notice when it was
/// rejected. ``ContactRates`` limits how many.
final class ContactLog: Service, Sendable {
    private let logger: Logger
    private let rates: Mutex<ContactRates>

    private static let interval: Duration = .seconds(15)
    /// Of silence, until what was left out is told without waiting for the node's next contact.
    private static let pause: Duration = .seconds(60)
    /// Nodes with a line of their own in one round; the others are told together.
    private static let maximumSummaries = 20
    /// Characters of what a peer has sent.
    private static let maximumText = 200

    init(logger: Logger, limits: ContactRates.Limits = .init()) {
        self.logger = logger
        rates = Mutex(ContactRates(limits))
    }

    func note(_ contact: NodeContact) {
        let name = "\(contact.kind.rawValue)/\(contact.node)"
        guard let leftOut = rates.withLock({ $0.take(name, isRejected: contact.isRejected) }) else { return }
        var metadata: Logger.Metadata = [
            "kind": "\(contact.kind.rawValue)", "node": "\(Self.short(contact.node))",
            "what": "\(Self.short(contact.what))",
            "bytes": "\(contact.bytes)", "result": "\(contact.result)", "from": "\(Self.short(contact.from))",
        ]
        if !contact.reason.isEmpty { metadata["reason"] = "\(Self.short(contact.reason))" }
        if leftOut > 0 { metadata["left_out"] = "\(leftOut)" }
        if contact.isRejected {
            logger.notice("A contact of a node was rejected", metadata: metadata)
        } else {
            logger.info("Contact of a node", metadata: metadata)
        }
    }

    private static func short(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.prefix(maximumText)))
    }

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            while !Task.isCancelled {
                try? await Task.sleep(for: Self.interval)
                tellLeftOut(after: Self.pause)
            }
        }
        tellLeftOut(after: .zero)
    }

    /// - Parameter pause: Of silence since a node's last contact.
    func tellLeftOut(after pause: Duration) {
        let (quiet, forgotten) = rates.withLock { ($0.quiet(since: pause), $0.takeForgotten()) }
        for (key, leftOut) in quiet.prefix(Self.maximumSummaries) {
            logger.info(
                "Contacts of a node have no line of their own, because there were too many",
                metadata: [
                    "node": "\(Self.short(key.node))", "left_out": "\(leftOut)",
                    "contacts": "\(key.isRejected ? "rejected" : "accepted")",
                ])
        }
        let others = forgotten + quiet.dropFirst(Self.maximumSummaries).reduce(0) { $0 + $1.leftOut }
        if others > 0 {
            logger.info(
                "Contacts of other nodes have no line of their own, because there were too many",
                metadata: ["left_out": "\(others)"])
        }
    }
}
