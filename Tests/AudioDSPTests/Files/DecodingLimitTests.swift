import EdgeTesting
import Foundation
import Testing

@testable import AudioDSP

/// Small files that take hours to decode: what is counted, and that the work ends. Numbers of checks are counted, not seconds.
struct DecodingLimitTests {
    private func inFile(_ bytes: [UInt8], _ body: (String) throws -> Void) throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/a.flac"))
        try body("\(folder)/a.flac")
    }

    /// What counts is the sound that is there, not what STREAMINFO declares.
    @Test func countsWhatIsDecodedWhateverTheFileDeclares() throws {
        let hour = Int64(SilentFLAC.frames(hours: 1))
        #expect(hour == 172_750_260)
        for (declared, maximum, code) in [
            (Int(hour), hour, nil), (0, hour, nil), (0, hour - 1, .tooLong), (Int(hour), hour - 1, .tooLong),
            (1 << 35, 1 << 34, .tooLong), (1 << 35, .max, .read),
        ] as [(Int, Int64, SoundFileError.Code?)] {
            try inFile(SilentFLAC.file(hours: 1, declaring: declared)) { path in
                let reader = try SoundFileReader(path: path)
                if let code {
                    let error = #expect(throws: SoundFileError.self) {
                        try reader.decodeOn(maximumFrames: maximum, isPaused: { false })
                    }
                    #expect(error?.code == code, "\(declared), \(maximum): \(String(describing: error))")
                    #expect(error?.errnoValue == 0)
                } else {
                    let frames = try reader.decodeOn(maximumFrames: maximum, isPaused: { false })
                    #expect(frames == hour)
                }
            }
        }
        // What comes after the sound that a file declares is no sound for any reader.
        try inFile(SilentFLAC.file(hours: 1, declaring: 48_000)) { path in
            let frames = try SoundFileReader(path: path).decodeThrough(maximumFrames: .max)
            #expect(frames == 48_000)
        }
    }

    @Test func decodesInSlices() throws {
        try inFile(SilentFLAC.file(hours: 0.1)) { path in
            let reader = try SoundFileReader(path: path)
            var slices = 0
            var end: Int64?
            while end == nil {
                end = try reader.decodeOn(maximumFrames: .max, isPaused: { true })
                slices += 1
                try #require(slices < 5000)
            }
            #expect(end == Int64(SilentFLAC.frames(hours: 0.1)))
            #expect(slices > 1000)
        }
    }

    /// 38 hours in 1.5 MB: the work ends at the check that says so, and nothing is asked after that.
    @Test func endsAtTheCheckThatCancelsIt() throws {
        let file = SilentFLAC.file(hours: 38)
        #expect(file.count < 1_600_000)
        try inFile(file) { path in
            var checks = 0
            let limit = DecodingLimit(isCancelled: {
                checks += 1
                return checks == 50
            })
            let reader = try SoundFileReader(path: path, limit: limit)
            let error = #expect(throws: SoundFileError.self) { try reader.decodeThrough(maximumFrames: .max) }
            #expect(error?.code == .cancelled && error?.errnoValue == ECANCELED)
            #expect(checks == 50)
            // A second of work is a thousand blocks.
            #expect(reader.decodedFrames <= 50 * 16_384)
            #expect(throws: SoundFileError.self) { try reader.decodeThrough(maximumFrames: .max) }
            #expect(checks == 50)
        }
    }

    @Test func endsWhenItsProcessorTimeIsUsedUp() throws {
        try inFile(SilentFLAC.file(hours: 38)) { path in
            var now = 0.0
            // Each check is 0.1 s of work after the last one.
            let limit = DecodingLimit(
                maximumProcessorSeconds: 5,
                processorSeconds: {
                    now += 0.1
                    return now
                })
            // What the thread does between two slices does not count.
            now += 1000
            limit.resume()
            let reader = try SoundFileReader(path: path, limit: limit)
            let error = #expect(throws: SoundFileError.self) { try reader.decodeThrough(maximumFrames: .max) }
            #expect(error?.code == .tooCostly && error?.errnoValue == 0)
            #expect((5.0...5.2).contains(limit.usedSeconds))
            #expect(reader.decodedFrames <= 51 * 16_384)
        }
    }

    /// Bytes in which a decoder looks for the next block, within one call of the library: noise, and blocks with a wrong checksum.
    @Test(arguments: [true, false])
    func endsInBytesThatAreNoSound(isNoise: Bool) throws {
        var random = SeededGenerator()
        var damaged = SilentFLAC.block(5)
        damaged[damaged.count - 1] ^= 1
        let rest = isNoise ? random.bytes(4 << 20) : (0..<300_000).flatMap { _ in damaged }
        try inFile(SilentFLAC.file(hours: 0.01, declaring: 0) + rest) { path in
            var all = 0
            let counting = DecodingLimit(isCancelled: {
                all += 1
                return false
            })
            let whole = try SoundFileReader(path: path, limit: counting)
            #expect(throws: SoundFileError.self) { try whole.decodeThrough(maximumFrames: .max) }
            try #require(all > 10)
            var checks = 0
            let limit = DecodingLimit(isCancelled: {
                checks += 1
                return checks == all - 1
            })
            let reader = try SoundFileReader(path: path, limit: limit)
            let error = #expect(throws: SoundFileError.self) { try reader.decodeThrough(maximumFrames: .max) }
            #expect(error?.code == .cancelled)
            #expect(checks == all - 1)
        }
    }

    /// A file that is opened only: MP3 files are looked through for their length then.
    @Test func opensNothingOnceItIsCancelled() throws {
        try inFile(SilentFLAC.file(hours: 1)) { path in
            let error = #expect(throws: SoundFileError.self) {
                try SoundFileReader(path: path, limit: DecodingLimit(isCancelled: { true }))
            }
            #expect(error?.code == .cancelled)
        }
    }

    /// Several spans, also across the borders of blocks, and a copy that is larger than the file.
    @Test func silencesAllSpansInOneCopy() throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        var random = SeededGenerator()
        let format = try PCMFormat(encoding: .signed16, channels: 1, sampleRate: 48_000)
        let source = open("\(folder)/a.flac", O_RDWR | O_CREAT | O_TRUNC, 0o644)
        let writer = try FLACWriter(descriptor: source, format: format)
        let sound = random.bytes(2 * 50_000)
        try writer.write(sound.span)
        try writer.finish()
        close(source)
        func samples(_ path: String) throws -> [Float] {
            let reader = try SoundFileReader(path: path)
            var samples: [Float] = []
            while try reader.readMono(channel: .index(0), maxFrames: 4096, { samples += $0 }) > 0 {}
            return samples
        }
        let spans: [Range<Int64>] = [0..<10, 4090..<4100, 4200..<4300, 8192..<16_384, 40_000..<60_000]
        let copy = open("\(folder)/b.flac", O_RDWR | O_CREAT, 0o644)
        var granted: Int64 = 0
        let silenced = try FLACFile.copy(from: "\(folder)/a.flac", to: copy, silencing: spans) { bytes in
            granted += bytes
            return true
        }
        close(copy)
        #expect(silenced == 10 + 10 + 100 + 8192 + 10_000)
        #expect(granted > 50_000)
        var wanted = try samples("\(folder)/a.flac")
        for span in spans { for index in span where index < 50_000 { wanted[Int(index)] = 0 } }
        let found = try samples("\(folder)/b.flac")
        #expect(found == wanted)
    }

    /// 1.5 MB in blocks of 65,535 are 22 MB in blocks of 4,096: a copy asks for the room, and ends without.
    @Test func copiesNoMoreThanThereIsRoomFor() throws {
        try inFile(SilentFLAC.file(hours: 38)) { path in
            let copy = open("\(path).copy", O_RDWR | O_CREAT, 0o644)
            defer { close(copy) }
            var left: Int64 = 100_000
            let error = #expect(throws: SoundFileError.self) {
                try FLACFile.copy(from: path, to: copy, silencing: [0..<1000]) { bytes in
                    left -= bytes
                    return left >= 0
                }
            }
            #expect(error?.errnoValue == ENOSPC)
            #expect(lseek(copy, 0, SEEK_END) < 400_000)
            var checks = 0
            let other = open("\(path).other", O_RDWR | O_CREAT, 0o644)
            defer { close(other) }
            let limit = DecodingLimit(isCancelled: {
                checks += 1
                return checks == 100
            })
            let ended = #expect(throws: SoundFileError.self) {
                try FLACFile.copy(from: path, to: other, silencing: [0..<1000], limit: limit)
            }
            #expect(ended?.code == .cancelled && checks == 100)
        }
    }

    @Test func looksForWholeBlocksOnlyUntilItIsCancelled() throws {
        try inFile(SilentFLAC.file(hours: 38)) { path in
            let file = open(path, O_RDWR)
            defer { close(file) }
            var checks = 0
            let limit = DecodingLimit(isCancelled: {
                checks += 1
                return checks == 100
            })
            let format = try PCMFormat(encoding: .signed16, channels: 1, sampleRate: 48_000)
            let error = #expect(throws: SoundFileError.self) {
                try FLACRemains(descriptor: file, path: path, format: format, limit: limit)
            }
            #expect(error?.code == .cancelled && checks == 100)
        }
    }
}
