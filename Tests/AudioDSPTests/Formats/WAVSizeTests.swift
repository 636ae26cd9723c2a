import EdgeTesting
import Foundation
import Testing

@testable import AudioDSP

/// The sizes in the header of a WAV file that another recorder has not finished.
@Suite struct WAVSizeTests {
    private func inFile(_ body: (String) throws -> Void) throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        try body("\(folder)/a.wav")
    }

    private func write(_ bytes: [UInt8], _ path: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }

    private func read(_ path: String) throws -> [UInt8] { try Array(Data(contentsOf: URL(fileURLWithPath: path))) }

    /// Of every header that may stand before the sound, with whatever sizes: all after it is sound, to the last whole sample.
    @Test func anUnfinishedFileGetsItsSizesAndKeepsItsHeader() throws {
        try inFile { path in
            let format = try PCMFormat(encoding: .signed16, channels: 2, sampleRate: 44_100)
            let list = WireMaker.riffChunk("LIST", Array("INFOdata".utf8))
            for extra in [0, 3, 4, 400, 402] {
                let sound = Array(WireMaker.ramp(from: 0, samples: 201).prefix(extra))
                let kept = extra / 4 * 4
                for (before, between) in [([], []), ([], list), (list, WireMaker.riffChunk("fact", [1, 2, 3, 4]))] {
                    for declared in [0, 8, 1_933_312, 0xFFFF_FFFF] {
                        func header(_ bytes: Int) -> [UInt8] {
                            WireMaker.wavHeader(
                                channels: 2, rate: 44_100, dataBytes: bytes, extra: before, between: between)
                        }
                        try write(header(declared) + sound, path)
                        let repaired = try WAVFile.repairSizes(path: path, isUnfinished: true)
                        let wanted = kept > 0 ? header(kept) + sound[..<kept] : header(declared) + sound
                        #expect(try read(path) == wanted, "\(extra) bytes, \(declared) declared")
                        #expect(
                            repaired
                                == (kept > 0 ? .init(format: format, frames: Int64(kept / 4), wasDamaged: false) : nil))
                        // Once more changes nothing.
                        _ = try WAVFile.repairSizes(path: path, isUnfinished: true)
                        #expect(try read(path) == wanted)
                    }
                }
            }
        }
    }

    /// A finished file with chunks after its sound, and what is no file of this kind, stay as they are.
    @Test func aFileWithRightSizesStaysAsItIs() throws {
        try inFile { path in
            let sound = WireMaker.ramp(from: 0, samples: 1000)
            let list = WireMaker.riffChunk("LIST", Array("INFOISFTtest".utf8))
            var rf64 = WireMaker.wavHeader(
                dataBytes: -1,
                extra: WireMaker.riffChunk(
                    "ds64",
                    WireMaker.little(0, 8) + WireMaker.little(2000, 8) + WireMaker.little(1000, 8) + [0, 0, 0, 0]))
            rf64.replaceSubrange(0..<4, with: Array("RF64".utf8))
            for file in [
                WireMaker.wavHeader(dataBytes: 2000) + sound, WireMaker.wavHeader(dataBytes: 2000) + sound + list,
                WireMaker.wavHeader(dataBytes: 1998) + sound, WireMaker.stockHeader(dataBytes: 2000) + sound,
                rf64 + sound + list, WireMaker.wavHeader(rate: 0) + sound, Array("RIFF".utf8), [], sound,
            ] {
                try write(file, path)
                #expect(try WAVFile.repairSizes(path: path, isUnfinished: false) == nil)
                #expect(try read(path) == file)
            }
            // Sizes of nothing, and sizes beyond the end.
            for declared in [0, 2001, 0xFFFF_FFFF] {
                try write(WireMaker.wavHeader(dataBytes: declared) + sound, path)
                #expect(try WAVFile.repairSizes(path: path, isUnfinished: false)?.frames == 1000)
                #expect(try read(path) == WireMaker.wavHeader(dataBytes: 2000) + sound)
            }
        }
    }

    @Test func aLinkOrAMissingFileIsNotRepaired() throws {
        try inFile { path in
            #expect(throws: WAVFileError.self) { try WAVFile.repairSizes(path: path, isUnfinished: true) }
            let file = WireMaker.wavHeader(dataBytes: 0) + WireMaker.ramp(from: 0, samples: 10)
            try write(file, path)
            try FileManager.default.createSymbolicLink(atPath: "\(path).link", withDestinationPath: path)
            #expect(throws: WAVFileError.self) { try WAVFile.repairSizes(path: "\(path).link", isUnfinished: true) }
            #expect(try read(path) == file)
        }
    }
}
