/// Reads the part of a WAV file before its sound, chunk by chunk.
///
/// Source: "Multimedia Programming Interface and Data Specifications 1.0" (RIFF, WAVE, `fmt `), the WAVE_FORMAT_EXTENSIBLE
/// description of Microsoft, EBU Tech 3306 (RF64). Chunks that are not needed (JUNK, bext, fact, LIST, PEAK, ds64…) are
/// passed over. The sizes of the file and of the sound that a header declares are never trusted: a stream's are 0, or
/// those of another file.
public enum WAVHeader {
    public enum Parse: Equatable, Sendable {
        /// The bytes do not begin a WAV file.
        case notWAV
        /// They may; more are needed to tell the format.
        case needMoreBytes
        /// It is a WAV file whose sound cannot be used.
        case unsupported(reason: String)
        case found(Description)
    }

    public struct Description: Equatable, Sendable {
        public let format: PCMFormat
        /// Bytes up to and including the size of the data chunk: the sound follows.
        public let headerBytes: Int
        /// As declared, for what it is worth.
        public let declaredDataBytes: UInt32
        /// The same of a file of the 64-bit kind (EBU Tech 3306), whose `ds64` chunk has it; nil for others.
        public var declaredLongDataBytes: Int64?
    }

    /// Looks at no more than `limit` bytes.
    public static func parse(_ bytes: Span<UInt8>, limit: Int = 8192) -> Parse {
        let bytes = bytes.extracting(first: limit)
        guard mayBeWAV(bytes) else { return .notWAV }
        guard bytes.count >= 12 else { return .needMoreBytes }
        var offset = 12
        var format: Parse?
        var longDataBytes: Int64?
        while offset + 8 <= bytes.count {
            let size = Int(bytes.littleEndian32(at: offset + 4))
            let body = offset + 8
            if bytes.hasTag("data", at: offset) {
                switch format {
                case .found(let found)?:
                    return .found(
                        Description(
                            format: found.format, headerBytes: body, declaredDataBytes: UInt32(size),
                            declaredLongDataBytes: size == UInt32.max ? longDataBytes : nil))
                case let other?: return other
                case nil: return .unsupported(reason: "no fmt chunk before the data")
                }
            }
            if bytes.hasTag("ds64", at: offset), body + 16 <= bytes.count {
                // The size of the file, then that of the sound.
                let high = Int64(bytes.littleEndian32(at: body + 12))
                longDataBytes = high << 32 | Int64(bytes.littleEndian32(at: body + 8))
            }
            if bytes.hasTag("fmt ", at: offset) {
                guard size >= 16 else { return .unsupported(reason: "a fmt chunk of \(size) bytes") }
                guard body + min(size, 40) <= bytes.count else { return needMore(bytes, limit) }
                format = parseFormat(bytes.extracting(body..<(body + min(size, 40))))
            }
            // Chunks begin at even offsets.
            offset = body + size + (size & 1)
        }
        return needMore(bytes, limit)
    }

    private static func needMore(_ bytes: Span<UInt8>, _ limit: Int) -> Parse {
        bytes.count >= limit ? .notWAV : .needMoreBytes
    }

    private static func mayBeWAV(_ bytes: Span<UInt8>) -> Bool {
        let starts = ["RIFF", "RF64", "BW64"]
        guard starts.contains(where: { bytes.agrees(with: $0, at: 0) }) else { return false }
        return bytes.agrees(with: "WAVE", at: 8)
    }

    /// The format stands for the whole description until the data chunk is found.
    private static func parseFormat(_ bytes: Span<UInt8>) -> Parse {
        var tag = bytes.littleEndian16(at: 0)
        let channels = Int(bytes.littleEndian16(at: 2))
        let sampleRate = Int(bytes.littleEndian32(at: 4))
        let blockAlign = Int(bytes.littleEndian16(at: 12))
        let bits = Int(bytes.littleEndian16(at: 14))
        if tag == 0xFFFE {
            guard bytes.count >= 26 else {
                return .unsupported(reason: "an extensible fmt chunk without its extension")
            }
            tag = bytes.littleEndian16(at: 24)
        }
        let encoding: PCMFormat.Encoding
        // The container size counts, not the valid bits: 20 bits travel in 24.
        switch (
            tag, channels > 0 && blockAlign % max(channels, 1) == 0 && blockAlign > 0 ? blockAlign / channels * 8 : bits
        ) {
        case (1, 8): encoding = .unsigned8
        case (1, 16): encoding = .signed16
        case (1, 24): encoding = .signed24
        case (1, 32): encoding = .signed32
        case (3, 32): encoding = .float32
        default: return .unsupported(reason: "WAVE format \(tag) with \(bits) bits a sample")
        }
        do throws(PCMFormatError) {
            let format = try PCMFormat(encoding: encoding, channels: channels, sampleRate: sampleRate)
            return .found(Description(format: format, headerBytes: 0, declaredDataBytes: 0))
        } catch {
            return .unsupported(reason: error.description)
        }
    }

    /// How long the header that ``encode(format:dataBytes:)`` makes is.
    public static let canonicalBytes = 44

    /// A header that ends with the size of the data chunk, with the sizes of so many bytes of sound. A length that does not fit is written
    /// as "to the end of the file".
    static func sized(_ header: [UInt8], dataBytes: Int64) -> [UInt8] {
        // What of the file the size at its beginning counts besides the sound.
        let rest = header.count - 8
        let size = UInt32(clamping: min(dataBytes, Int64(UInt32.max) - Int64(rest)))
        var header = header
        header.replaceSubrange(4..<8, with: littleEndian(size + UInt32(rest)))
        header.replaceSubrange((header.count - 4)..., with: littleEndian(size))
        return header
    }

    private static func littleEndian(_ value: UInt32) -> [UInt8] {
        [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: value >> UInt32($0)) }
    }

    /// The usual header of 44 bytes. A length that does not fit is written as "to the end of the file".
    public static func encode(format: PCMFormat, dataBytes: Int64) -> [UInt8] {
        let size = UInt32(clamping: min(dataBytes, Int64(UInt32.max) - 36))
        var header: [UInt8] = []
        header.reserveCapacity(canonicalBytes)
        func put16(_ value: Int) {
            for shift in [0, 8] { header.append(UInt8(truncatingIfNeeded: value >> shift)) }
        }
        func put32(_ value: UInt32) {
            for shift in [0, 8, 16, 24] { header.append(UInt8(truncatingIfNeeded: value >> UInt32(shift))) }
        }
        header.append(contentsOf: "RIFF".utf8)
        put32(size + 36)
        header.append(contentsOf: "WAVEfmt ".utf8)
        put32(16)
        put16(format.encoding == .float32 ? 3 : 1)
        put16(format.channels)
        put32(UInt32(format.sampleRate))
        put32(UInt32(format.bytesPerSecond))
        put16(format.bytesPerFrame)
        put16(format.bytesPerSample * 8)
        header.append(contentsOf: "data".utf8)
        put32(size)
        return header
    }
}

extension Span<UInt8> {
    func littleEndian16(at offset: Int) -> UInt16 {
        UInt16(self[offset]) | UInt16(self[offset + 1]) << 8
    }

    func littleEndian32(at offset: Int) -> UInt32 {
        UInt32(littleEndian16(at: offset)) | UInt32(littleEndian16(at: offset + 2)) << 16
    }

    func hasTag(_ tag: String, at offset: Int) -> Bool {
        offset + tag.utf8.count <= count && agrees(with: tag, at: offset)
    }

    /// Whether the bytes that are there agree with `text`.
    func agrees(with text: String, at offset: Int) -> Bool {
        var index = offset
        for byte in text.utf8 {
            guard index < count else { return true }
            if self[index] != byte { return false }
            index += 1
        }
        return true
    }
}
