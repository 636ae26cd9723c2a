#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The names of a model's classes, in its order.
///
/// A line a class: `Scientific name_Common name`, UTF-8, exactly one underscore. Classes that are no species have the
/// same text on both sides (`Engine_Engine`).
public struct LabelSet: Sendable {
    public struct Entry: Sendable, Hashable {
        public let scientific: String
        /// In the language chosen.
        public let common: String
        /// In English, as the model's own label file says.
        public let english: String
    }

    public let entries: [Entry]
    /// The classes of a human voice or whistle.
    public let humanIndices: [Int]

    static let humanNames: Set<String> = ["Human vocal", "Human non-vocal", "Human whistle"]

    /// - Parameters:
    ///   - path: the model's own labels (English).
    ///   - translation: labels of the same model with the common names of another language.
    public init(path: String, translation: String? = nil) throws(ClassifierError) {
        let english = try Self.lines(path)
        let translated = try translation.map { (file) throws(ClassifierError) in try Self.lines(file) } ?? english
        guard english.count == translated.count else {
            throw ClassifierError(
                .labelsUnfit, path: translation ?? path,
                reason: "it has \(translated.count) labels, \(path) has \(english.count)")
        }
        var entries: [Entry] = []
        entries.reserveCapacity(english.count)
        for (own, other) in zip(english, translated) {
            guard own.scientific == other.scientific else {
                throw ClassifierError(
                    .labelsUnfit, path: translation ?? path,
                    reason: "it names \(other.scientific) where \(own.scientific) stands")
            }
            entries.append(Entry(scientific: own.scientific, common: other.common, english: own.common))
        }
        self.entries = entries
        humanIndices = entries.indices.filter { Self.humanNames.contains(entries[$0].scientific) }
    }

    private static func lines(_ path: String) throws(ClassifierError) -> [(scientific: String, common: String)] {
        guard let bytes = readFile(path, limit: 16 << 20) else {
            // Memory: libc owns the text, until the thread's next call of `strerror`; it is copied before.
            throw unsafe ClassifierError(.labelsUnreadable, path: path, reason: String(cString: strerror(errno)))
        }
        var lines: [(String, String)] = []
        let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let text = bytes.starts(with: byteOrderMark) ? bytes.dropFirst(byteOrderMark.count) : bytes[...]
        for (number, line) in text.split(separator: UInt8(ascii: "\n")).enumerated() {
            let text = line.last == 0x0D ? line.dropLast() : line
            if text.isEmpty { continue }
            let halves = text.split(separator: UInt8(ascii: "_"), omittingEmptySubsequences: false)
            guard halves.count == 2 else {
                throw ClassifierError(
                    .labelsUnreadable, path: path, reason: "line \(number + 1) is not `Scientific name_Common name`")
            }
            lines.append((String(decoding: halves[0], as: UTF8.self), String(decoding: halves[1], as: UTF8.self)))
        }
        return lines
    }

    private static func readFile(_ path: String, limit: Int) -> [UInt8]? {
        // Memory: path and block are borrowed for the calls.
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < limit {
            let count = unsafe read(file, &block, block.count)
            if count < 0 { return nil }
            if count == 0 { break }
            bytes.append(contentsOf: block[..<count])
        }
        return bytes
    }
}
