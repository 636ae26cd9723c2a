#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What is left of a FLAC recording of a known format that was cut off, and how it becomes a whole file again.
///
/// A file that was only cut off gets the count of its samples. A damaged head is written again. Where frames are missing in
/// between, a second file has silence in their place, so that what follows stays where it was heard. The original is not
/// changed then.
public struct FLACRemains {
    public enum State: Equatable, Sendable {
        /// Nothing was written yet, or no more than its head and the beginning of a frame.
        case empty
        /// Cut off, or with a damaged head: ``repair()`` makes it whole.
        case cut
        /// Frames are missing in between: ``copy(to:)`` makes a file that is whole.
        case broken
        /// There is no whole frame in it, and something else.
        case unreadable
    }

    public let state: State
    /// Sample frames up to its end, missing ones included.
    public let frames: Int64
    /// Missing ones, in order.
    public let missing: [Range<Int64>]

    private let descriptor: Int32
    private let path: String
    private let format: PCMFormat
    private let found: [FLACFrame]
    private let blockSize: Int
    private let isHeadWhole: Bool

    /// Sizes of STREAMINFO with its frame, and of the head of a block of padding.
    private static let headBytes: Int64 = 42
    private static let paddingHeadBytes: Int64 = 4
    /// What the encoder of this program makes, for a file without any frame.
    private static let usualBlockSize = 4096

    /// - Parameters:
    ///   - descriptor: open for reading and writing, and the caller's.
    ///   - format: as the recording was begun. What the file says itself may be damaged.
    ///   - limit: of the work.
    /// - Throws: when the file cannot be read now, and where the limit ends the work.
    public init(
        descriptor: Int32, path: String, format: PCMFormat, limit: DecodingLimit = DecodingLimit()
    ) throws(SoundFileError) {
        self.descriptor = descriptor
        self.path = path
        self.format = format
        let end = lseek(descriptor, 0, SEEK_END)
        guard end >= 0 else { throw SoundFileError(code: .read, path: path, errnoValue: errno) }
        let fileBytes = Int64(end)
        let audio = try Self.audioOffset(descriptor, path, format)
        isHeadWhole = audio != nil
        var scanner = FLACFrameScanner(
            descriptor: descriptor, path: path, format: format, fileBytes: fileBytes, limit: limit)
        found = try scanner.frames(from: audio ?? 0)
        blockSize = found.map(\.blockSize).max() ?? Self.usualBlockSize
        let most = Int64(FLACFrameScanner.maximumByteCount(blockSize: blockSize, format))
        guard let last = found.last else {
            state = fileBytes == 0 || audio.map { fileBytes - $0 <= most } == true ? .empty : .unreadable
            (frames, missing) = (0, [])
            return
        }
        frames = last.number * Int64(blockSize) + Int64(last.blockSize)
        missing = Self.missing(found, Int64(blockSize))
        let isTailShort = fileBytes - (last.offset + Int64(last.byteCount)) <= most
        let isInOrder =
            missing.isEmpty && zip(found, found.dropFirst()).allSatisfy { $0.offset + Int64($0.byteCount) == $1.offset }
        let first = found[0].offset
        let hasRoomForHead =
            isHeadWhole ? first == audio : first == Self.headBytes || first >= Self.headBytes + Self.paddingHeadBytes
        state = isInOrder && isTailShort && hasRoomForHead ? .cut : .broken
    }

    private static func missing(_ found: [FLACFrame], _ blockSize: Int64) -> [Range<Int64>] {
        var missing: [Range<Int64>] = []
        var next: Int64 = 0
        for frame in found {
            let start = frame.number * blockSize
            if start > next { missing.append(next..<start) }
            next = start + Int64(frame.blockSize)
        }
        return missing
    }

    /// Where the frames begin, if the head and all blocks before them are as they should be.
    private static func audioOffset(
        _ descriptor: Int32, _ path: String, _ format: PCMFormat
    ) throws(SoundFileError) -> Int64? {
        let head = try SoundFileBytes.read(descriptor, path: path, offset: 0, count: Int(headBytes))
        guard head.count == Int(headBytes), head[..<4].elementsEqual("fLaC".utf8), head[4] & 0x7F == 0,
            head[5] == 0, head[6] == 0, head[7] == 34
        else { return nil }
        let wanted = streamInfo(format, blockSize: usualBlockSize, frames: 0)
        // Rate, channels and bits of a sample; the lowest four bits belong to the count of samples.
        guard head[18] == wanted[10], head[19] == wanted[11], head[20] == wanted[12],
            head[21] & 0xF0 == wanted[13] & 0xF0
        else { return nil }
        var offset = headBytes
        var isLast = head[4] & 0x80 != 0
        while !isLast {
            let block = try SoundFileBytes.read(descriptor, path: path, offset: offset, count: 4)
            guard block.count == 4, block[0] & 0x7F < 7 else { return nil }
            isLast = block[0] & 0x80 != 0
            offset += 4 + Int64(block[1]) << 16 + Int64(block[2]) << 8 + Int64(block[3])
        }
        return offset
    }

    /// RFC 9639 §8.2, without sizes of frames and the sum of the samples, which are not known.
    private static func streamInfo(_ format: PCMFormat, blockSize: Int, frames: Int64) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: 34)
        for place in [0, 2] {
            block[place] = UInt8(truncatingIfNeeded: blockSize >> 8)
            block[place + 1] = UInt8(truncatingIfNeeded: blockSize)
        }
        let values =
            UInt64(format.sampleRate) << 44 | UInt64(format.channels - 1) << 41
            | UInt64(format.bytesPerSample * 8 - 1) << 36 | UInt64(frames) & 0xF_FFFF_FFFF
        for index in 0..<8 { block[10 + index] = UInt8(truncatingIfNeeded: values >> UInt64(56 - 8 * index)) }
        return block
    }

    // MARK: - Repair

    /// Makes a file that was cut off whole, in place: writes its head, or only the count of samples in it, and syncs. No frame
    /// is changed.
    public func repair() throws(SoundFileError) {
        guard state == .cut, let first = found.first else { return }
        if isHeadWhole {
            // The count alone: 36 bits of STREAMINFO (RFC 9639 §8.2), 0 while unknown.
            let info = Self.streamInfo(format, blockSize: blockSize, frames: frames)
            try SoundFileBytes.write(Array(info[13..<18]), to: descriptor, path: path, offset: 21)
        } else {
            let padding = first.offset - Self.headBytes - Self.paddingHeadBytes
            var head = Array("fLaC".utf8) + [padding < 0 ? 0x80 : 0, 0, 0, 34]
            head += Self.streamInfo(format, blockSize: blockSize, frames: frames)
            if padding >= 0 {
                head += [0x81] + [16, 8, 0].map { UInt8(truncatingIfNeeded: padding >> $0) }
                head += [UInt8](repeating: 0, count: Int(padding))
            }
            try SoundFileBytes.write(head, to: descriptor, path: path, offset: 0)
        }
        guard fsync(descriptor) == 0 else { throw SoundFileError(code: .write, path: path, errnoValue: errno) }
    }

    /// Writes a file of all frames that are whole, with silence in the place of the missing ones, and syncs it.
    ///
    /// - Parameter target: an empty file, open for writing.
    public func copy(to target: Int32) throws(SoundFileError) {
        var output = Array("fLaC".utf8) + [0x80, 0, 0, 34]
        output += Self.streamInfo(format, blockSize: blockSize, frames: frames)
        var written: Int64 = 0
        var next: Int64 = 0
        for frame in found {
            while next < frame.number {
                output += silentFrame(next)
                next += 1
                try flush(&output, target, &written, atLeast: 1 << 18)
            }
            output += try SoundFileBytes.read(descriptor, path: path, offset: frame.offset, count: frame.byteCount)
            next = frame.number + 1
            try flush(&output, target, &written, atLeast: 1 << 18)
        }
        try flush(&output, target, &written, atLeast: 1)
        guard fsync(target) == 0 else { throw SoundFileError(code: .write, path: path, errnoValue: errno) }
    }

    private func flush(
        _ output: inout [UInt8], _ target: Int32, _ written: inout Int64, atLeast count: Int
    ) throws(SoundFileError) {
        guard output.count >= count else { return }
        try SoundFileBytes.write(output, to: target, path: path, offset: written)
        written += Int64(output.count)
        output.removeAll(keepingCapacity: true)
    }

    /// A block of silence: each channel is one value, 0 (RFC 9639 §9.2.3).
    private func silentFrame(_ number: Int64) -> [UInt8] {
        // The size of the block follows in 16 bits; the rate is that of the file.
        var frame: [UInt8] = [0xFF, 0xF8, 0x70, UInt8(format.channels - 1) << 4 | FLACFrameHead.sizeCode(format) << 1]
        frame += Self.coded(number)
        frame += [UInt8(truncatingIfNeeded: (blockSize - 1) >> 8), UInt8(truncatingIfNeeded: blockSize - 1)]
        frame.append(FLACChecksum.head(frame.span))
        frame += [UInt8](repeating: 0, count: format.channels * (1 + format.bytesPerSample))
        let sum = FLACChecksum.frame(frame.span)
        return frame + [UInt8(sum >> 8), UInt8(truncatingIfNeeded: sum)]
    }

    private static func coded(_ number: Int64) -> [UInt8] {
        guard number >= 0x80 else { return [UInt8(number)] }
        // With so many further bytes of 6 bits, the first one has 6 less their number.
        var more = 1
        while more < 5, number >= Int64(1) << Int64(5 * more + 6) { more += 1 }
        let marks = UInt8(truncatingIfNeeded: 0xFF00 >> (more + 1))
        var bytes = [marks | UInt8(truncatingIfNeeded: number >> Int64(6 * more))]
        for place in stride(from: more - 1, through: 0, by: -1) {
            bytes.append(0x80 | UInt8(truncatingIfNeeded: number >> Int64(6 * place)) & 0x3F)
        }
        return bytes
    }
}
