/// The markers of a codestream (ISO/IEC 15444-1, Annex A), looked through before a library decodes it.
///
/// The main header tells how many packets an image has. A tile-part may change that again (COD, COC, POC), after the library has
/// said what the main header holds. The writers of GRIB never do this, so such an image is rejected.
enum JPEG2000Markers {
    private static let startOfCodestream = 0xFF4F
    private static let startOfTilePart = 0xFF90
    private static let startOfData = 0xFF93
    private static let endOfCodestream = 0xFFD9

    /// SIZ, COD, COC, TLM, PLM, QCD, QCC, RGN, CRG, COM.
    private static let inMainHeader: Set<Int> = [
        0xFF51, 0xFF52, 0xFF53, 0xFF55, 0xFF57, 0xFF5C, 0xFF5D, 0xFF5E, 0xFF63, 0xFF64,
    ]
    /// PLT, QCD, QCC, RGN, COM.
    private static let inTilePart: Set<Int> = [0xFF58, 0xFF5C, 0xFF5D, 0xFF5E, 0xFF64]

    /// Rejects a codestream with other markers than these. One that is cut is left to the decoder.
    static func check(_ bytes: [UInt8]) throws(GRIBError) {
        guard number(bytes, 0, 2) == startOfCodestream else { throw .malformed("its image has no beginning") }
        guard var place = try skip(bytes, from: 2, until: startOfTilePart, inMainHeader) else { return }
        while let marker = number(bytes, place, 2), marker != endOfCodestream {
            guard marker == startOfTilePart else { throw unknown(marker) }
            guard let length = number(bytes, place + 2, 2), let partLength = number(bytes, place + 6, 4),
                let data = try skip(bytes, from: place + 2 + length, until: startOfData, inTilePart)
            else { return }
            // 0: it goes on up to the end.
            guard partLength > 0 else { return }
            guard length == 10, place + partLength >= data + 2 else {
                throw .malformed("a part of its image is shorter than its header")
            }
            place += partLength
        }
    }

    /// Goes through the segments of a header.
    ///
    /// - Returns: where its last marker is; nil when it is cut.
    private static func skip(
        _ bytes: [UInt8], from start: Int, until end: Int, _ known: Set<Int>
    ) throws(GRIBError) -> Int? {
        var place = start
        while let marker = number(bytes, place, 2) {
            guard marker != end else { return place }
            guard known.contains(marker) else { throw unknown(marker) }
            guard let length = number(bytes, place + 2, 2) else { return nil }
            guard length >= 2 else { throw .malformed("a header of its image has a segment of \(length) octets") }
            place += 2 + length
        }
        return nil
    }

    private static func unknown(_ marker: Int) -> GRIBError {
        .unsupported("an image with the marker 0x\(String(marker, radix: 16, uppercase: true)) at that place")
    }

    /// A number, the highest octet first; nil beyond the end.
    private static func number(_ bytes: [UInt8], _ place: Int, _ width: Int) -> Int? {
        guard place + width <= bytes.count else { return nil }
        return bytes[place..<place + width].reduce(0) { $0 << 8 | Int($1) }
    }
}
