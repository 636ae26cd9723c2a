import AudioDSP
import EdgeTesting
import Foundation
import Testing

@Suite struct SoundFileTests {
    private func run(_ program: String, _ arguments: [String]) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program] + arguments
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }

    private func encode(_ sound: [UInt8], _ format: PCMFormat, to path: String, finish: Bool) throws {
        let file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o644)
        defer { close(file) }
        let writer = try FLACWriter(descriptor: file, format: format)
        for start in stride(from: 0, to: sound.count, by: 12_000) {
            try writer.write(sound[start..<min(start + 12_000, sound.count)].span)
        }
        if finish { try writer.finish() }
    }

    private func samples(_ path: String) throws -> [Float] {
        let reader = try SoundFileReader(path: path)
        var all: [Float] = []
        while try reader.readMono(channel: .index(0), maxFrames: 4096, { all += $0 }) > 0 {}
        return all
    }

    @Test(arguments: [PCMFormat.Encoding.unsigned8, .signed16, .signed24])
    func keepsEverySampleThroughFLAC(encoding: PCMFormat.Encoding) throws {
        var random = SeededGenerator()
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        let format = try PCMFormat(encoding: encoding, channels: 2, sampleRate: 48_000)
        let sound = random.bytes(format.bytesPerFrame * 30_000)
        try encode(sound, format, to: "\(folder)/a.flac", finish: true)
        let left = (0..<30_000).map { frame -> Float in
            let offset = frame * format.bytesPerFrame
            switch encoding {
            case .unsigned8: return (Float(sound[offset]) - 128) / 128
            case .signed16:
                return Float(Int16(truncatingIfNeeded: Int(sound[offset]) | Int(sound[offset + 1]) << 8)) / 32_768
            default:
                let value = Int32(sound[offset]) << 8 | Int32(sound[offset + 1]) << 16 | Int32(sound[offset + 2]) << 24
                return Float(value >> 8) / 8_388_608
            }
        }
        #expect(try samples("\(folder)/a.flac") == left)
    }

    /// The number of a closed file is given to the next one that is opened. What an encoder writes at its end must not land there.
    @Test func anEncoderThatOutlivesItsFileWritesToNoOther() throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        let format = try PCMFormat(encoding: .signed16, channels: 1, sampleRate: 48_000)
        let first = open("\(folder)/a.flac", O_RDWR | O_CREAT | O_TRUNC, 0o644)
        var writer: FLACWriter? = try FLACWriter(descriptor: first, format: format)
        let sound = [UInt8](repeating: 7, count: 100_000)
        try writer?.write(sound.span)
        close(first)
        let second = dup2(open("\(folder)/other", O_RDWR | O_CREAT | O_TRUNC, 0o644), first)
        #expect(second == first)
        writer = nil
        #expect(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/other")).isEmpty)
        #expect(lseek(second, 0, SEEK_CUR) == 0)
        close(second)
    }

    @Test func mendsAFLACFileCutAnywhere() throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        var random = SeededGenerator()
        let format = try PCMFormat(encoding: .signed16, channels: 1, sampleRate: 48_000)
        let sound = random.bytes(2 * 100_000)
        try encode(sound, format, to: "\(folder)/whole.flac", finish: true)
        let whole = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/whole.flac"))
        let all = try samples("\(folder)/whole.flac")
        for _ in 0..<20 {
            let path = "\(folder)/cut.flac"
            var cut = whole.prefix(Int.random(in: 20_000..<whole.count, using: &random))
            // As while it is written: the count of samples in the head is not known yet.
            for index in 21...25 { cut[index] = index == 21 ? cut[index] & 0xF0 : 0 }
            try cut.write(to: URL(fileURLWithPath: path))
            let frames = try FLACFile.repair(path: path)
            let kept = try samples(path)
            #expect(Int64(kept.count) == frames)
            #expect(frames > 0 && kept == Array(all[..<kept.count]))
            // No more than one block is lost.
            #expect(Double(kept.count) > Double(cut.count) / Double(whole.count) * 100_000 - 3 * 4096)
        }
    }

    @Test func silencesASpanOfAFLACFileAndNothingElse() throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        var random = SeededGenerator()
        let format = try PCMFormat(encoding: .signed16, channels: 1, sampleRate: 48_000)
        try encode(random.bytes(2 * 50_000), format, to: "\(folder)/a.flac", finish: true)
        let file = open("\(folder)/b.flac", O_RDWR | O_CREAT, 0o644)
        #expect(try FLACFile.copy(from: "\(folder)/a.flac", to: file, silencing: 10_000..<20_000) == 10_000)
        close(file)
        var wanted = try samples("\(folder)/a.flac")
        for index in 10_000..<20_000 { wanted[index] = 0 }
        #expect(try samples("\(folder)/b.flac") == wanted)
    }

    @Test func mendsAWAVFileCutAnywhereAndLosesNoSample() throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        let format = try PCMFormat(encoding: .signed24, channels: 2, sampleRate: 44_100)
        let header = WAVHeader.encode(format: format, dataBytes: Int64(UInt32.max))
        var random = SeededGenerator()
        for extra in [0, 1, 5, 6, 6000, 6007] {
            let sound = random.bytes(extra)
            try Data(header + sound).write(to: URL(fileURLWithPath: "\(folder)/a.wav"))
            let mended = try WAVFile.repair(path: "\(folder)/a.wav")
            #expect(mended.format == format)
            #expect(mended.frames == Int64(extra / 6))
            let bytes = try Array(Data(contentsOf: URL(fileURLWithPath: "\(folder)/a.wav")))
            let kept = extra / 6 * 6
            #expect(bytes == WireMaker.wavHeader(channels: 2, rate: 44_100, bits: 24, dataBytes: kept) + sound[..<kept])
        }
        #expect(throws: WAVFileError.self) { try WAVFile.repair(path: "\(folder)/none.wav") }
    }
}
