import TextParts

/// Where a CO2 unit may put a file below its folder: `data/…` and `errors/…`, nowhere else. What is in `updates/` becomes
/// program code on units, so only the operator writes there.
public struct PushPath: Hashable, Sendable, CustomStringConvertible {
    public static let writableFolders: Set<String> = ["data", "errors"]
    /// `data/readings/readings-0000.tsv` has three.
    public static let mostParts = 4

    /// Checked parts, with `/` between them.
    public let text: String

    /// Nil when a unit may not write there.
    public init?(_ text: some StringProtocol) {
        let parts = Substring(text).parts(at: "/", omittingEmpty: false)
        guard (2...Self.mostParts).contains(parts.count), Self.writableFolders.contains(String(parts[0])),
            parts.allSatisfy({ FileName.isPlain($0) })
        else { return nil }
        self.text = String(text)
    }

    public var name: String { text.parts(at: "/").last.map(String.init) ?? text }
    public var folder: String { text.parts(at: "/").dropLast().joined(separator: "/") }
    public var isReadings: Bool { text.hasPrefix("data/readings/") && text.hasSuffix(".tsv") }
    public var isErrors: Bool { text.hasPrefix("errors/") }
    public var description: String { text }
}

/// What a push of some bytes at an offset means for a file of which so many are stored.
///
/// A unit believes the answer: it goes on where it says, and an answer beyond the end of its own file stops it for good.
/// So exactly what the unit has shown to have is acknowledged: the file that it pushed, up to the end of what it pushed.
public enum PushVerdict: Equatable, Sendable {
    /// There is a hole before it (416): the unit goes back to what is stored.
    case gap(storedBytes: Int64)
    /// What is stored and what is pushed agree where they overlap; the pushed bytes from `skip` on are new (none, if all of
    /// them are stored).
    case follows(skip: Int, acknowledged: Int64)
    /// They differ: the unit has begun a new file of the same name. The old one is put aside, and what was pushed follows its
    /// first `keep` bytes, on which both agree as far as is known.
    case replaces(keep: Int64, acknowledged: Int64)

    /// - Parameter overlap: the stored bytes from `offset` on, as many as `body` has or as there are.
    ///
    /// Memory: the caller owns both buffers until the return; nothing of them is kept.
    public init(offset: Int64, body: UnsafeRawBufferPointer, storedBytes: Int64, overlap: UnsafeRawBufferPointer) {
        guard offset <= storedBytes else {
            self = .gap(storedBytes: storedBytes)
            return
        }
        let common = min(body.count, overlap.count)
        let isSame = (0..<common).allSatisfy { unsafe body[$0] == overlap[$0] }
        let end = offset + Int64(body.count)
        self =
            isSame
            ? .follows(skip: common, acknowledged: end) : .replaces(keep: offset, acknowledged: end)
    }

    /// The answer's body, as the former server wrote it.
    public static func answer(name: String, acknowledged: Int64, isGap: Bool) -> String {
        let file = "\"ack_file\": [\"\(name)\", \(acknowledged), \(acknowledged)]"
        return isGap ? "{\"error\": \"SKIPPED_PART_OF_FILE\", \(file)}\n" : "{\(file)}\n"
    }
}
