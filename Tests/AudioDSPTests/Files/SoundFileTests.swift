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

    @Test func repairsAFLACFileCutAnywhere() throws {
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
            let file = open(path, O_RDWR)
            defer { close(file) }
            let remains = try FLACRemains(descriptor: file, path: path, format: format)
            #expect(remains.state == .cut && remains.missing.isEmpty)
            try remains.repair()
            let kept = try samples(path)
            #expect(Int64(kept.count) == remains.frames)
            #expect(remains.frames > 0 && kept == Array(all[..<kept.count]))
            // No more than one block is lost.
            #expect(Double(kept.count) > Double(cut.count) / Double(whole.count) * 100_000 - 3 * 4096)
        }
    }

    /// Sectors that a power cut tore, at the head or anywhere. What is whole is kept bit for bit and at its place; the rest is silence
    /// that is told of.
    @Test(arguments: [
        (PCMFormat.Encoding.signed16, 1, 48_000), (.signed24, 2, 96_000), (.unsigned8, 1, 22_050),
        (.signed16, 8, 37_000),
    ])
    func salvagesAFLACFileWithTornSectors(_ encoding: PCMFormat.Encoding, _ channels: Int, _ rate: Int) throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        var random = SeededGenerator()
        let format = try PCMFormat(encoding: encoding, channels: channels, sampleRate: rate)
        try encode(random.bytes(format.bytesPerFrame * 100_000), format, to: "\(folder)/whole.flac", finish: true)
        let whole = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/whole.flac"))
        let all = try samples("\(folder)/whole.flac")
        let path = "\(folder)/torn.flac"
        for sector in 0..<12 {
            var torn = whole
            for index in 21...25 { torn[index] = index == 21 ? torn[index] & 0xF0 : 0 }
            let start = sector < 3 ? 0 : Int.random(in: 0..<(whole.count / 512), using: &random) * 512
            let end = min(start + (sector == 0 ? 64 : Int.random(in: 1...9000, using: &random)), whole.count)
            for index in start..<end { torn[index] = sector % 2 == 0 ? 0 : UInt8.random(in: 0...255, using: &random) }
            try torn.write(to: URL(fileURLWithPath: path))
            let file = open(path, O_RDWR)
            let remains = try FLACRemains(descriptor: file, path: path, format: format)
            if remains.state == .cut { try remains.repair() }
            if remains.state == .broken {
                let copy = open("\(folder)/copy.flac", O_RDWR | O_CREAT | O_TRUNC, 0o644)
                try remains.copy(to: copy)
                close(copy)
                // The original stays what it was.
                #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == torn)
            }
            close(file)
            let kept = try samples(remains.state == .broken ? "\(folder)/copy.flac" : path)
            #expect(remains.frames > 0 && Int64(kept.count) == remains.frames)
            let silent = Set(remains.missing.flatMap { $0 })
            #expect(kept.indices.allSatisfy { kept[$0] == (silent.contains(Int64($0)) ? 0 : all[$0]) })
            // The blocks that were hit, and the one before them.
            #expect(silent.count <= (end - start) / format.bytesPerFrame + 4 * 4096)
            #expect(remains.frames >= 100_000 - Int64((end - start) / format.bytesPerFrame + 4 * 4096))
            // No block is 4,096 samples of 8 bits and less than 64 bytes.
            if sector == 0 { #expect(remains.state == .cut && remains.frames == 100_000) }
        }
    }

    /// Other programs see the silence as silence, also in long files: the number of a block takes up to six bytes.
    @Test func writesSilenceThatOtherProgramsRead() throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        let format = try PCMFormat(encoding: .signed16, channels: 1, sampleRate: 48_000)
        // Blocks of silence are some bytes long: a torn sector takes hundreds.
        try encode(
            [UInt8](repeating: 0, count: 2 * 4096 * 1500), format, to: "\(folder)/whole.flac", finish: true)
        var torn = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/whole.flac"))
        for index in 4096..<(4096 + 8192) { torn[index] = 0x55 }
        try torn.write(to: URL(fileURLWithPath: "\(folder)/torn.flac"))
        let file = open("\(folder)/torn.flac", O_RDWR)
        defer { close(file) }
        let remains = try FLACRemains(descriptor: file, path: "\(folder)/torn.flac", format: format)
        #expect(remains.state == .broken && remains.frames == 4096 * 1500)
        #expect(remains.missing.count == 1 && (remains.missing.first?.count ?? 0) > 4096 * 128)
        let copy = open("\(folder)/copy.flac", O_RDWR | O_CREAT | O_TRUNC, 0o644)
        try remains.copy(to: copy)
        close(copy)
        let reader = try SoundFileReader(path: "\(folder)/copy.flac")
        #expect(reader.frames == 4096 * 1500)
        #expect(try reader.decodeThrough(maximumFrames: .max) == 4096 * 1500)
    }

    /// A damaged place is an error, wherever the reads happen to end; what came before it is handed over.
    @Test(arguments: [1000, 4096, 16_384, 100_000])
    func tellsOfADamagedPlaceInTheMiddle(_ step: Int) throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        var random = SeededGenerator()
        let format = try PCMFormat(encoding: .signed16, channels: 1, sampleRate: 48_000)
        try encode(random.bytes(2 * 100_000), format, to: "\(folder)/a.flac", finish: true)
        var broken = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/a.flac"))
        for index in 100_000..<100_512 { broken[index] ^= 0xA5 }
        try broken.write(to: URL(fileURLWithPath: "\(folder)/b.flac"))
        let all = try samples("\(folder)/a.flac")
        let reader = try SoundFileReader(path: "\(folder)/b.flac")
        var kept: [Float] = []
        #expect(throws: SoundFileError.self) {
            while try reader.readMono(channel: .index(0), maxFrames: step, { kept += $0 }) > 0 {}
        }
        #expect(kept.count > 40_000 && kept == Array(all[..<kept.count]))
        #expect(throws: SoundFileError.self) {
            try SoundFileReader(path: "\(folder)/b.flac").decodeThrough(maximumFrames: .max)
        }
        // So is a file that ends before it says that it does, and one that is longer than allowed.
        try broken.prefix(90_000).write(to: URL(fileURLWithPath: "\(folder)/c.flac"))
        #expect(throws: SoundFileError.self) {
            try SoundFileReader(path: "\(folder)/c.flac").decodeThrough(maximumFrames: .max)
        }
        #expect(try SoundFileReader(path: "\(folder)/a.flac").decodeThrough(maximumFrames: 100_000) == 100_000)
        #expect(throws: SoundFileError.self) {
            try SoundFileReader(path: "\(folder)/a.flac").decodeThrough(maximumFrames: 99_999)
        }
        // A copy with silence in it is whole, or it is none.
        let copy = open("\(folder)/d.flac", O_RDWR | O_CREAT, 0o644)
        defer { close(copy) }
        #expect(throws: SoundFileError.self) {
            try FLACFile.copy(from: "\(folder)/b.flac", to: copy, silencing: [0..<1000])
        }
    }

    /// A tag after the sound is none of the sound.
    @Test func aTagAfterTheLastBlockIsNoDamage() throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        var random = SeededGenerator()
        let format = try PCMFormat(encoding: .signed16, channels: 1, sampleRate: 48_000)
        try encode(random.bytes(2 * 50_000), format, to: "\(folder)/a.flac", finish: true)
        let whole = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/a.flac"))
        try (whole + Data("TAG".utf8) + Data(count: 125)).write(to: URL(fileURLWithPath: "\(folder)/a.flac"))
        #expect(try SoundFileReader(path: "\(folder)/a.flac").decodeThrough(maximumFrames: .max) == 50_000)
    }

    @Test func silencesASpanOfAFLACFileAndNothingElse() throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        var random = SeededGenerator()
        let format = try PCMFormat(encoding: .signed16, channels: 1, sampleRate: 48_000)
        try encode(random.bytes(2 * 50_000), format, to: "\(folder)/a.flac", finish: true)
        let file = open("\(folder)/b.flac", O_RDWR | O_CREAT, 0o644)
        #expect(try FLACFile.copy(from: "\(folder)/a.flac", to: file, silencing: [10_000..<20_000]) == 10_000)
        close(file)
        var wanted = try samples("\(folder)/a.flac")
        for index in 10_000..<20_000 { wanted[index] = 0 }
        #expect(try samples("\(folder)/b.flac") == wanted)
    }

    @Test func repairsAWAVFileCutAnywhereAndLosesNoSample() throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        let format = try PCMFormat(encoding: .signed24, channels: 2, sampleRate: 44_100)
        let header = WAVHeader.encode(format: format, dataBytes: Int64(UInt32.max))
        var random = SeededGenerator()
        for extra in [0, 1, 5, 6, 6000, 6007] {
            let sound = random.bytes(extra)
            try Data(header + sound).write(to: URL(fileURLWithPath: "\(folder)/a.wav"))
            let repaired = try #require(try WAVFile.repairIfOpen(path: "\(folder)/a.wav"))
            #expect(repaired.format == format && !repaired.wasDamaged)
            #expect(repaired.frames == Int64(extra / 6))
            let bytes = try Array(Data(contentsOf: URL(fileURLWithPath: "\(folder)/a.wav")))
            let kept = extra / 6 * 6
            let whole = WireMaker.wavHeader(channels: 2, rate: 44_100, bits: 24, dataBytes: kept) + sound[..<kept]
            #expect(bytes == whole)
            // The same by the format that is known, whatever became of the header.
            for damage in [0..<0, 0..<12, 20..<44, 0..<44] {
                var torn = header + sound
                for index in damage { torn[index] = 0 }
                try Data(torn).write(to: URL(fileURLWithPath: "\(folder)/a.wav"))
                let known = try #require(try WAVFile.repair(path: "\(folder)/a.wav", as: format))
                #expect(known.frames == Int64(extra / 6) && known.wasDamaged == !damage.isEmpty)
                #expect(try Array(Data(contentsOf: URL(fileURLWithPath: "\(folder)/a.wav"))) == whole)
            }
        }
        #expect(throws: WAVFileError.self) { try WAVFile.repairIfOpen(path: "\(folder)/none.wav") }
        #expect(throws: WAVFileError.self) { try WAVFile.repair(path: "\(folder)/none.wav", as: format) }
    }

    /// Files of others: with chunks before and after the sound, with sizes of 64 bits, with a size of 0. Not one byte is changed.
    @Test func changesNoFileOfAnotherProgram() throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        let path = "\(folder)/a.wav"
        let sound = WireMaker.ramp(from: 0, samples: 1000)
        let list = WireMaker.riffChunk("LIST", Array("INFOISFTtest".utf8))
        var rf64 = WireMaker.wavHeader(
            dataBytes: -1,
            extra: WireMaker.riffChunk(
                "ds64", WireMaker.little(0, 8) + WireMaker.little(2000, 8) + WireMaker.little(1000, 8) + [0, 0, 0, 0]))
        rf64.replaceSubrange(0..<4, with: Array("RF64".utf8))
        for (number, (file, bytes)) in [
            (WireMaker.wavHeader(dataBytes: 2000) + sound + list, 2000),
            (WireMaker.wavHeader(dataBytes: 2000) + sound + [1], 2000),
            (WireMaker.wavHeader(dataBytes: 1998) + sound, 1998),
            (WireMaker.stockHeader(dataBytes: 2000) + sound + list, 2000),
            (WireMaker.wavHeader(dataBytes: 0) + sound, 2000), (rf64 + sound + list, 2000),
        ].enumerated() {
            try Data(file).write(to: URL(fileURLWithPath: path))
            #expect(try WAVFile.repairIfOpen(path: path) == nil)
            #expect(try WAVFile.layout(path: path).dataBytes == Int64(bytes), "file \(number)")
            #expect(try Array(Data(contentsOf: URL(fileURLWithPath: path))) == file, "file \(number)")
        }
        // With another format than the row's it is another file, even if it has the name.
        try Data(WireMaker.wavHeader(dataBytes: 2000) + sound).write(to: URL(fileURLWithPath: path))
        let other = try PCMFormat(encoding: .signed24, channels: 2, sampleRate: 44_100)
        #expect(try WAVFile.repair(path: path, as: other) == nil)
        #expect(try Array(Data(contentsOf: URL(fileURLWithPath: path))).suffix(2000) == sound[...])
    }

    /// What the system refuses is told apart from what is damaged.
    @Test func tellsARefusalFromDamage() throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        try Data("no sound".utf8).write(to: URL(fileURLWithPath: "\(folder)/a.flac"))
        try FileManager.default.createDirectory(atPath: "\(folder)/b.flac", withIntermediateDirectories: true)
        for (name, errnoValue) in [("a", 0), ("b", EISDIR), ("none", ENOENT)] {
            let error = #expect(throws: SoundFileError.self) { try SoundFileReader(path: "\(folder)/\(name).flac") }
            #expect(error?.errnoValue == errnoValue, "\(name)")
        }
    }
}
