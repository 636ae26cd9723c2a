/// A frame of a FLAC file: a block of sound with a number and two checksums of its own (RFC 9639 §9).
struct FLACFrame: Equatable {
    let offset: Int64
    let byteCount: Int
    let number: Int64
    /// Sample frames in it.
    let blockSize: Int
}

/// What the head of a frame says.
struct FLACFrameHead: Equatable {
    let byteCount: Int
    let number: Int64
    let blockSize: Int

    /// The longest head: 4 bytes, a number of 6, a block size of 2, a sample rate of 2, a checksum.
    static let maximumByteCount = 15

    /// Nil when no frame of that format begins here. Only blocks of a fixed size are known, since recordings have no others.
    init?(_ bytes: Span<UInt8>, _ format: PCMFormat) {
        guard bytes.count >= 6, bytes[0] == 0xFF, bytes[1] == 0xF8, bytes[3] & 1 == 0 else { return nil }
        guard Self.channels(bytes[3] >> 4) == format.channels else { return nil }
        let bits = bytes[3] >> 1 & 7
        guard bits == 0 || bits == Self.sizeCode(format) else { return nil }
        var place = 4
        guard let number = Self.number(bytes, &place) else { return nil }
        guard let blockSize = Self.blockSize(bytes[2] >> 4, bytes, &place),
            Self.isRate(bytes[2] & 15, of: format, bytes, &place), place < bytes.count,
            FLACChecksum.head(bytes.extracting(first: place)) == bytes[place]
        else { return nil }
        byteCount = place + 1
        self.number = number
        self.blockSize = blockSize
    }

    private static func channels(_ code: UInt8) -> Int? {
        switch code {
        case 0...7: Int(code) + 1
        case 8...10: 2
        default: nil
        }
    }

    static func sizeCode(_ format: PCMFormat) -> UInt8 {
        switch format.bytesPerSample {
        case 1: 1
        case 2: 4
        case 3: 6
        default: 7
        }
    }

    /// As UTF-8 writes a character, up to 31 bits.
    private static func number(_ bytes: Span<UInt8>, _ place: inout Int) -> Int64? {
        let first = bytes[place]
        place += 1
        if first < 0x80 { return Int64(first) }
        let more = (~first).leadingZeroBitCount - 1
        guard (1...5).contains(more), place + more < bytes.count else { return nil }
        var number = Int64(first & (0x3F >> UInt8(more)))
        for _ in 0..<more {
            guard bytes[place] & 0xC0 == 0x80 else { return nil }
            number = number << 6 | Int64(bytes[place] & 0x3F)
            place += 1
        }
        return number
    }

    private static func blockSize(_ code: UInt8, _ bytes: Span<UInt8>, _ place: inout Int) -> Int? {
        switch code {
        case 0: return nil
        case 1: return 192
        case 2...5: return 576 << Int(code - 2)
        case 6, 7:
            let width = code == 6 ? 1 : 2
            guard let value = take(width, bytes, &place) else { return nil }
            return value + 1
        default: return 256 << Int(code - 8)
        }
    }

    private static func isRate(
        _ code: UInt8, of format: PCMFormat, _ bytes: Span<UInt8>, _ place: inout Int
    ) -> Bool {
        let rates = [0, 88_200, 176_400, 192_000, 8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000]
        switch code {
        case 0: return true
        case 1...11: return rates[Int(code)] == format.sampleRate
        case 12: return take(1, bytes, &place).map { $0 * 1000 } == format.sampleRate
        case 13: return take(2, bytes, &place) == format.sampleRate
        case 14: return take(2, bytes, &place).map { $0 * 10 } == format.sampleRate
        default: return false
        }
    }

    private static func take(_ width: Int, _ bytes: Span<UInt8>, _ place: inout Int) -> Int? {
        guard place + width < bytes.count else { return nil }
        var value = 0
        for _ in 0..<width {
            value = value << 8 | Int(bytes[place])
            place += 1
        }
        return value
    }
}

/// The two checksums of a frame (RFC 9639 §9.1.8 and §9.3).
enum FLACChecksum {
    private static let headTable: [UInt8] = (0..<256).map { index in
        var sum = UInt8(index)
        for _ in 0..<8 { sum = sum & 0x80 == 0 ? sum << 1 : (sum << 1) ^ 0x07 }
        return sum
    }

    private static let frameTable: [UInt16] = (0..<256).map { index in
        var sum = UInt16(index) << 8
        for _ in 0..<8 { sum = sum & 0x8000 == 0 ? sum << 1 : (sum << 1) ^ 0x8005 }
        return sum
    }

    static func head(_ bytes: Span<UInt8>) -> UInt8 {
        var sum: UInt8 = 0
        for index in 0..<bytes.count { sum = headTable[Int(sum ^ bytes[index])] }
        return sum
    }

    /// Goes on with a sum, 0 at the beginning; over a frame with its checksum it comes to 0.
    static func frame(_ bytes: Span<UInt8>, from sum: UInt16 = 0) -> UInt16 {
        var sum = sum
        let table = frameTable.span
        for index in 0..<bytes.count { sum = (sum << 8) ^ table[Int(sum >> 8) ^ Int(bytes[index])] }
        return sum
    }
}

/// Finds the whole frames of a file, also of one whose head or middle is damaged.
///
/// A frame counts when its head and its checksum are right and the file ends after it, or the next frame begins there. The frame
/// before a damaged place is therefore given up with it when the next one's head is damaged too.
struct FLACFrameScanner {
    private let descriptor: Int32
    private let path: String
    private let format: PCMFormat
    private let fileBytes: Int64
    private let limit: DecodingLimit
    private var window: [UInt8] = []
    private var windowOffset: Int64 = 0

    private static let windowBytes = 1 << 20
    /// More missing frames are not believed: a frame has this many bytes at least.
    private static let minimumFrameByteCount: Int64 = 10

    init(descriptor: Int32, path: String, format: PCMFormat, fileBytes: Int64, limit: DecodingLimit) {
        self.limit = limit
        self.descriptor = descriptor
        self.path = path
        self.format = format
        self.fileBytes = fileBytes
    }

    /// No frame with blocks of this size is longer: its samples as they are, a bit more each where channels are combined.
    static func maximumByteCount(blockSize: Int, _ format: PCMFormat) -> Int {
        FLACFrameHead.maximumByteCount + 2
            + format.channels * (16 + (blockSize * (format.bytesPerSample * 8 + 1) + 7) / 8)
    }

    /// All whole frames from an offset on, in the order of their numbers.
    mutating func frames(from start: Int64) throws(SoundFileError) -> [FLACFrame] {
        var frames: [FLACFrame] = []
        var place = start
        while let next = try find(from: place) {
            // Sound can be made to look like heads of frames, each of which costs a checksum of up to 2 MB.
            try limit.check(path)
            let (found, resume) = try measure(next)
            guard let found else {
                place = resume
                continue
            }
            let isNext = frames.last.map { found.number > $0.number } ?? true
            let after = frames.last.map { $0.offset + Int64($0.byteCount) } ?? 0
            let missing = found.number - (frames.last.map { $0.number + 1 } ?? 0)
            if isNext, missing * Self.minimumFrameByteCount <= found.offset - after { frames.append(found) }
            place = resume
        }
        return frames
    }

    /// The first place from `offset` on at which a frame's head is right.
    private mutating func find(from offset: Int64) throws(SoundFileError) -> Int64? {
        var place = offset
        while place + 6 <= fileBytes {
            try limit.check(path)
            try load(place, atLeast: FLACFrameHead.maximumByteCount + 1)
            let bytes = window.span
            var index = Int(place - windowOffset)
            let isLast = windowOffset + Int64(window.count) >= fileBytes
            let last = isLast ? bytes.count - 6 : bytes.count - FLACFrameHead.maximumByteCount - 1
            while index <= last {
                if bytes[index] == 0xFF, FLACFrameHead(bytes.extracting(index..<bytes.count), format) != nil {
                    return windowOffset + Int64(index)
                }
                index += 1
            }
            place = windowOffset + Int64(index)
        }
        return nil
    }

    /// Where the frame that begins at `offset` ends.
    ///
    /// - Returns: the frame, nil if it is damaged; and from where on to look for the next.
    private mutating func measure(_ offset: Int64) throws(SoundFileError) -> (FLACFrame?, resume: Int64) {
        try load(offset, atLeast: FLACFrameHead.maximumByteCount + 1)
        let start = Int(offset - windowOffset)
        guard let head = FLACFrameHead(window.span.extracting(start..<window.count), format) else {
            return (nil, offset + 1)
        }
        let most = Self.maximumByteCount(blockSize: head.blockSize, format)
        try load(offset, atLeast: most + FLACFrameHead.maximumByteCount + 1)
        let bytes = window.span
        let begin = Int(offset - windowOffset)
        let end = min(bytes.count, begin + most)
        let isLast = windowOffset + Int64(bytes.count) >= fileBytes
        var index = begin + head.byteCount
        var sum = FLACChecksum.frame(bytes.extracting(begin..<index))
        while index <= end {
            if index == bytes.count {
                let isWhole = isLast && sum == 0
                return (isWhole ? frame(offset, index - begin, head) : nil, isWhole ? fileBytes : offset + 1)
            }
            if bytes[index] == 0xFF, sum == 0 || index + 1 < bytes.count && bytes[index + 1] == 0xF8,
                let next = FLACFrameHead(bytes.extracting(index..<bytes.count), format)
            {
                if sum == 0 { return (frame(offset, index - begin, head), offset + Int64(index - begin)) }
                if next.number == head.number + 1 { return (nil, offset + Int64(index - begin)) }
            }
            guard index < end else { break }
            // On to the next byte with which a head can begin.
            var next = index + 1
            while next < end, bytes[next] != 0xFF { next += 1 }
            sum = FLACChecksum.frame(bytes.extracting(index..<next), from: sum)
            index = next
        }
        return (nil, offset + 1)
    }

    private func frame(_ offset: Int64, _ byteCount: Int, _ head: FLACFrameHead) -> FLACFrame {
        FLACFrame(offset: offset, byteCount: byteCount, number: head.number, blockSize: head.blockSize)
    }

    /// Sees to it that the window holds so many bytes from `offset` on, or all that the file has.
    private mutating func load(_ offset: Int64, atLeast count: Int) throws(SoundFileError) {
        let wanted = min(offset + Int64(count), fileBytes)
        if offset >= windowOffset, wanted <= windowOffset + Int64(window.count) { return }
        window = try SoundFileBytes.read(
            descriptor, path: path, offset: offset,
            count: Int(min(Int64(max(count, Self.windowBytes)), fileBytes - offset)))
        windowOffset = offset
    }
}
