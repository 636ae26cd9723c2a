/// Decides which contacts of nodes get a line in the log. Each node has a bucket of lines that fills by itself, and one of its own for
/// rejected contacts: whoever sends under its name without the right to do so takes no lines from it. All rejected contacts share a further
/// one, so that made-up names cannot fill the log. What is left out is counted.
///
/// At most ``maximumNodes`` buckets are remembered; the count of one that is forgotten goes to ``forgotten``.
struct ContactRates {
    /// Lines a minute, and at once.
    struct Limits: Sendable {
        var perNode = 30.0
        var rejected = 60.0
    }

    private struct Bucket {
        var lines: Double
        var last: ContinuousClock.Instant

        mutating func fill(_ maximum: Double, _ now: ContinuousClock.Instant) {
            lines = min(maximum, lines + max(0, (now - last).seconds) * maximum / 60)
            last = now
        }
    }

    struct Key: Hashable, Sendable {
        /// Kind and name.
        var node: String
        var isRejected: Bool
    }

    private struct Node {
        var bucket: Bucket
        var leftOut = 0
    }

    static let maximumNodes = 1024

    private let limits: Limits
    private var nodes: [Key: Node] = [:]
    private var rejected: Bucket
    /// Contacts that were left out, of nodes that are no longer remembered.
    private(set) var forgotten = 0

    init(_ limits: Limits = Limits(), at now: ContinuousClock.Instant = .now) {
        self.limits = limits
        rejected = Bucket(lines: limits.rejected, last: now)
    }

    /// - Parameter node: Kind and name.
    /// - Returns: How many contacts of the node were left out since its last line. Nil if this one is left out too.
    mutating func take(_ node: String, isRejected: Bool, at now: ContinuousClock.Instant = .now) -> Int? {
        let key = Key(node: node, isRejected: isRejected)
        if nodes[key] == nil { makeRoom() }
        var entry = nodes[key] ?? Node(bucket: Bucket(lines: limits.perNode, last: now))
        defer { nodes[key] = entry }
        entry.bucket.fill(limits.perNode, now)
        if isRejected { rejected.fill(limits.rejected, now) }
        guard entry.bucket.lines >= 1, !isRejected || rejected.lines >= 1 else {
            entry.leftOut += 1
            return nil
        }
        entry.bucket.lines -= 1
        if isRejected { rejected.lines -= 1 }
        let leftOut = entry.leftOut
        entry.leftOut = 0
        return leftOut
    }

    /// Forgets the node that was silent for longest.
    private mutating func makeRoom() {
        guard nodes.count >= Self.maximumNodes,
            let oldest = nodes.min(by: { $0.value.bucket.last < $1.value.bucket.last })
        else { return }
        forgotten += oldest.value.leftOut
        nodes[oldest.key] = nil
    }

    /// Nodes that were silent for so long, with how many of their contacts were left out; then that counts as told.
    mutating func quiet(since pause: Duration, at now: ContinuousClock.Instant = .now) -> [(key: Key, leftOut: Int)] {
        let found = nodes.filter { $0.value.leftOut > 0 && now - $0.value.bucket.last >= pause }
        for key in found.keys { nodes[key]?.leftOut = 0 }
        return found.map { ($0.key, $0.value.leftOut) }.sorted { $0.key.node < $1.key.node }
    }

    /// How many were left out of nodes that are no longer remembered; then that counts as told.
    mutating func takeForgotten() -> Int {
        defer { forgotten = 0 }
        return forgotten
    }
}
