import EdgeTesting
import Foundation
import Testing

@testable import Forecasts

/// Headers of a few octets that name millions of parts: they are rejected before any part is looked at.
struct DecoderBoundsTests {
    /// A field packed as an image by ecCodes, and what of it differs.
    private func image(_ body: ([UInt8], _ codestream: Int) throws -> Void) throws {
        let folder = try TestFolders.temporary("grib")
        defer { TestFolders.remove(folder) }
        try ECCodes.run(
            "grib_set",
            [
                "-S", "-w", "shortName=10u", "-r", "-s", "packingType=grid_jpeg",
                "\(ECCodes.samples)/gfs.t12z.pgrbf120.2p5deg.grib2", "u.grib2",
            ], in: folder)
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/u.grib2")))
        // The markers SOC and SIZ (ISO/IEC 15444-1, A.4.1 and A.5.1).
        let start = try #require(
            bytes.indices.dropLast(4).first { bytes[$0..<($0 + 4)].elementsEqual([0xFF, 0x4F, 0xFF, 0x51]) })
        try body(bytes, start)
    }

    private func values(_ bytes: [UInt8]) throws -> [Float] {
        try GRIBMessage(bytes[...]).fields[0].values()
    }

    @Test func anImageOfTooManyTilesIsRejected() throws {
        try image { bytes, start in
            let whole = try values(bytes)
            #expect(whole.count == 10_512)
            var tiles = bytes
            // XTsiz and YTsiz, 22 octets after the beginning of SIZ: tiles of one sample. There are 144 × 73 of them.
            for place in 0..<8 { tiles[start + 2 + 22 + place] = [0, 0, 0, 1, 0, 0, 0, 1][place] }
            #expect(throws: GRIBError.unsupported("an image of 10512 tiles")) { try values(tiles) }
        }
    }

    @Test func anImageOfTooManyLayersIsRejected() throws {
        try image { bytes, start in
            // The marker COD (A.6.1): length, style, progression, then the number of layers.
            let style = try #require(
                bytes.indices.dropLast(2).first { $0 > start && bytes[$0] == 0xFF && bytes[$0 + 1] == 0x52 })
            var layers = bytes
            layers[style + 6] = 0xFF
            layers[style + 7] = 0xFF
            let error = #expect(throws: GRIBError.self) { try values(layers) }
            guard case .unsupported(let what) = error, what.hasSuffix(" packets") else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }

    /// The main header stays as it is; the header of the tile-part names 65,535 layers, or another order of packets (A.6.1, A.6.6).
    @Test func aTilePartThatChangesTheStructureIsRejected() throws {
        try image { bytes, start in
            let codestream = Array(bytes[start...])
            try JPEG2000Markers.check(codestream)
            func place(_ marker: UInt8) throws -> Int {
                try #require(codestream.indices.dropLast().first { codestream[$0...].starts(with: [0xFF, marker]) })
            }
            let (style, part, data) = (try place(0x52), try place(0x90), try place(0x93))
            let length = Int(codestream[style + 2]) << 8 | Int(codestream[style + 3])
            var layers = Array(codestream[style..<style + 2 + length])
            layers.replaceSubrange(6..<8, with: [0xFF, 0xFF])
            let component = [0xFF, 0x53, 0, 9, 0, 0, 5, 4, 4, 0, 0] as [UInt8]
            let order = [0xFF, 0x5F, 0, 9, 0, 0, 0, 1, 6, 1, 2] as [UInt8]
            for (marker, segment) in [("52", layers), ("53", component), ("5F", order)] {
                var changed = codestream
                changed.insert(contentsOf: segment, at: data)
                // Psot, 6 octets after the marker SOT.
                let bytes = (codestream[part + 6..<part + 10].reduce(0) { $0 << 8 | Int($1) }) + segment.count
                for place in 0..<4 { changed[part + 6 + place] = UInt8(truncatingIfNeeded: bytes >> (24 - 8 * place)) }
                #expect(throws: GRIBError.unsupported("an image with the marker 0xFF\(marker) at that place")) {
                    try JPEG2000Markers.check(changed)
                }
            }
        }
    }

    /// The header is one of python's c-blosc 1.21: 1 MiB of 4-byte values by LZ4, in blocks of 512 KiB.
    @Test func aChunkOfTooManyBlocksIsRejected() {
        var chunk: [UInt8] = [
            0x02, 0x01, 0x21, 0x04, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x08, 0x00, 0x98, 0x16, 0x00, 0x00,
        ]
        chunk += [UInt8](repeating: 0, count: 0x1698 - chunk.count)
        for blockBytes in [0, 1, 15] as [UInt8] {
            for place in 8..<12 { chunk[place] = place == 8 ? blockBytes : 0 }
            let error = #expect(throws: BloscChunk.Malformed.self) { try BloscChunk.unpack(chunk, byteCount: 1 << 20) }
            #expect(error?.description == "a chunk in blocks of \(blockBytes) bytes")
        }
    }
}
