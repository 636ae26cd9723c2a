/// How far a unit's file has been read, and which bytes of it are whole lines. It does no I/O: the caller reads the bytes and
/// stores the positions.
///
/// A line ends with its line feed and with nothing else. No message of a unit says that a file is complete: a unit begins its
/// next file also when another server has the rest of this one, and it sends old files again after it has lost its state. So
/// bytes behind the last line feed wait for the rest of their line, whatever other files there are.
public struct CO2FileProgress: Sendable, Equatable {
    /// A line as it is in the file.
    public struct Line: Sendable, Equatable {
        /// Without its line feed. Of a line that is too long only the beginning.
        public let text: Substring
        /// Where it begins in the file.
        public let offset: Int64
        /// It has more than ``mostLineBytes``, so it cannot be a line of a unit.
        public let isTooLong: Bool

        init(_ bytes: ArraySlice<UInt8>, at offset: Int64) {
            self.offset = offset
            isTooLong = bytes.count > CO2FileProgress.mostLineBytes
            let known = isTooLong ? bytes.prefix(CO2FileProgress.sampleBytes) : bytes
            text = Substring(String(decoding: known, as: UTF8.self))
        }
    }

    /// The maximum length of a line. A longer one is handed out once, as too long, and skipped up to its line feed.
    public static let mostLineBytes = 65_536

    /// How much of a line that is too long is handed out.
    private static let sampleBytes = 1200

    /// Everything before it has been read.
    public private(set) var position: Int64
    /// Lines that begin before this offset were handled by an earlier version, which read some of them wrongly.
    public private(set) var handledBytes: Int64

    /// - Parameters:
    ///   - recorded: the stored position of the file; below zero when the file was begun again. Every version writes it.
    ///   - confirmed: the position that this version stored beside it, in the same transaction; zero when there is none.
    ///     Earlier versions do not know it and read half lines as whole ones. If the two differ, the file is read again from
    ///     its beginning: the store keeps each reading once.
    public init(recorded: Int64, confirmed: Int64) {
        position = recorded == confirmed ? max(0, recorded) : 0
        handledBytes = recorded == confirmed ? 0 : max(0, recorded)
    }

    /// Where the caller must read from. The byte before the position shows whether a line begins there.
    public var readOffset: Int64 { max(0, position - 1) }

    /// The file is shorter than what was read of it, so it is another file: reading begins at its beginning.
    public mutating func restart() {
        position = 0
        handledBytes = 0
    }

    /// Goes back to a line that was handed out but cannot be understood without the line after it.
    public mutating func wait(at offset: Int64) {
        position = min(position, offset)
    }

    /// Reads nothing more up to an offset: the file holds no lines.
    public mutating func skip(to offset: Int64) {
        position = max(position, offset)
    }

    /// Hands out the whole lines among the bytes, except empty ones, and moves the position behind them.
    ///
    /// - Parameters:
    ///   - bytes: the file's bytes from ``readOffset`` on. More than ``mostLineBytes`` of them always move the position.
    ///   - mostLines: hands out at most so many lines, since short lines take many times their bytes of memory. At least two.
    /// - Returns: whether it stopped at that number, so that the bytes may hold more lines.
    @discardableResult
    public mutating func take(
        _ bytes: ArraySlice<UInt8>, mostLines: Int = .max, _ body: (Line) throws -> Void
    ) rethrows -> Bool {
        var rest = bytes
        if position > 0 {
            guard let before = rest.popFirst() else { return false }
            if before != 0x0A {
                // Inside a line that was too long: the rest of it is no line.
                guard let end = rest.firstIndex(of: 0x0A) else {
                    position += Int64(rest.count)
                    return false
                }
                position += Int64(end + 1 - rest.startIndex)
                rest = rest[(end + 1)...]
            }
        }
        let offset = position - Int64(rest.startIndex)
        var start = rest.startIndex
        var lines = 0
        while let end = rest[start...].firstIndex(of: 0x0A) {
            if end > start {
                guard lines < mostLines else {
                    position = offset + Int64(start)
                    return true
                }
                lines += 1
                try body(Line(rest[start..<end], at: offset + Int64(start)))
            }
            start = end + 1
        }
        if rest.endIndex - start > Self.mostLineBytes {
            try body(Line(rest[start...], at: offset + Int64(start)))
            start = rest.endIndex
        }
        position = offset + Int64(start)
        return false
    }
}
