import Foundation

/// What a SQLite write-ahead log (`-wal`) holds, read without SQLite.
///
/// SQLite uses the frames up to the first damaged one and ignores the rest without a word. This type finds out what would be ignored.
/// The format: <https://www.sqlite.org/fileformat2.html#walformat>
public struct WriteAheadLog: Sendable, Equatable {
    /// Size of the file; 0 if there is none.
    public private(set) var bytes: Int64 = 0
    /// Whether there is something in the file, but its header is damaged: SQLite then ignores the whole file.
    public private(set) var isHeaderDamaged = false
    public private(set) var pageBytes = 0
    /// Frames that SQLite uses: up to the last commit before the first damaged frame.
    public private(set) var committedFrames = 0
    /// Pages of the database after the last of these commits.
    public private(set) var pages = 0
    /// Of these pages, those that no committed frame has.
    public private(set) var missingPages = 0
    /// Frames that SQLite ignores although a commit was written behind the damage: the damaged one and those up to that commit.
    public private(set) var lostFrames = 0
    /// The bytes that identify this log among earlier ones of the same file; they change when SQLite begins it again.
    public private(set) var header: [UInt8] = []

    private static let headerBytes = 32
    private static let frameHeaderBytes = 24

    /// Whether SQLite would use something of it.
    public var hasCommits: Bool { committedFrames > 0 }
    /// Whether SQLite would ignore something that was committed.
    public var isDamaged: Bool { isHeaderDamaged || lostFrames > 0 }

    private static let longestUnrest = 10

    /// - Parameter path: Of the log. A file that does not exist is an empty log. Another process may be writing to it.
    /// - Throws: An error of the file system if the file exists and cannot be read.
    public init(path: String) throws {
        self = try Self.read(path)
        // While somebody writes, frames of two moments may look like damage. What is damaged stays as it is.
        for _ in 0..<Self.longestUnrest where isDamaged {
            let again = try Self.read(path)
            if again == self { return }
            self = again
        }
        (isHeaderDamaged, lostFrames) = (false, 0)
    }

    private init() {}

    private static func read(_ path: String) throws -> WriteAheadLog {
        var log = WriteAheadLog()
        guard FileManager.default.fileExists(atPath: path) else { return log }
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        defer { try? file.close() }
        try log.read(file)
        return log
    }

    private mutating func read(_ file: FileHandle) throws {
        bytes = Int64(try file.seekToEnd())
        try file.seek(toOffset: 0)
        header = Array(try file.read(upToCount: Self.headerBytes) ?? Data())
        guard header.count == Self.headerBytes else { return }
        let magic = Self.number(header, 0)
        let isBigEndian = magic & 1 == 1
        let pageBytes = Int(Self.number(header, 8))
        var sum = Checksum()
        sum.add(header[0..<24], isBigEndian)
        guard magic & ~1 == 0x377F_0682, Self.number(header, 4) == 3_007_000, pageBytes.nonzeroBitCount == 1,
            (512...65_536).contains(pageBytes),
            sum == Checksum(Self.number(header, 24), Self.number(header, 28))
        else {
            // After a power cut a file may be as long as it was to be, and hold zeros.
            let next = try file.read(upToCount: Self.frameHeaderBytes) ?? Data()
            isHeaderDamaged = (header + next).contains { $0 != 0 } && !next.isEmpty
            return
        }
        self.pageBytes = pageBytes
        try walk(file, sum, isBigEndian)
    }

    private mutating func walk(_ file: FileHandle, _ start: Checksum, _ isBigEndian: Bool) throws {
        var sum = start
        var count = 0
        var behindDamage = 0
        var covered: Set<UInt32> = []
        var uncommitted: Set<UInt32> = []
        defer { missingPages = pages - covered.count { $0 <= pages } }
        while let data = try file.read(upToCount: Self.frameHeaderBytes + pageBytes),
            data.count == Self.frameHeaderBytes + pageBytes
        {
            let frame = Array(data)
            let page = Self.number(frame, 0)
            // Pages of the database, in the last frame of a commit.
            let size = Self.number(frame, 4)
            let isOfThisLog = frame[8..<16] == header[16..<24] && page != 0
            if behindDamage == 0 {
                if isOfThisLog {
                    sum.add(frame[0..<8], isBigEndian)
                    sum.add(frame[Self.frameHeaderBytes...], isBigEndian)
                }
                if isOfThisLog, sum == Checksum(Self.number(frame, 16), Self.number(frame, 20)) {
                    count += 1
                    uncommitted.insert(page)
                    if size > 0 {
                        (committedFrames, pages) = (count, Int(size))
                        covered.formUnion(uncommitted)
                        uncommitted = []
                    }
                    continue
                }
            }
            behindDamage += 1
            // A process that was killed within a commit leaves one frame like this, the last. Where a commit follows, the frames
            // were whole once: SQLite writes them one after the other, and syncs them before the next commit.
            if behindDamage > 1, isOfThisLog, size > 0 { lostFrames = behindDamage }
        }
    }

    private static func number(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        bytes[offset..<(offset + 4)].reduce(0) { $0 << 8 | UInt32($1) }
    }

    private struct Checksum: Equatable {
        var first: UInt32 = 0
        var second: UInt32 = 0

        init() {}

        init(_ first: UInt32, _ second: UInt32) {
            self.first = first
            self.second = second
        }

        /// - Parameter bytes: A multiple of eight of them.
        mutating func add(_ bytes: ArraySlice<UInt8>, _ isBigEndian: Bool) {
            var place = bytes.startIndex
            while place < bytes.endIndex {
                first &+= Self.word(bytes, place, isBigEndian) &+ second
                second &+= Self.word(bytes, place + 4, isBigEndian) &+ first
                place += 8
            }
        }

        private static func word(_ bytes: ArraySlice<UInt8>, _ place: Int, _ isBigEndian: Bool) -> UInt32 {
            let (a, b, c, d) = (
                UInt32(bytes[place]), UInt32(bytes[place + 1]), UInt32(bytes[place + 2]), UInt32(bytes[place + 3])
            )
            return isBigEndian ? a << 24 | b << 16 | c << 8 | d : d << 24 | c << 16 | b << 8 | a
        }
    }
}
