/// Makes what listeners send, byte by byte, by the wire's description and not by the code under test.
public enum WireMaker {
    /// A frame: sequence and length of 24 bits each, little-endian, then the payload.
    public static func frame(_ sequence: Int, _ payload: [UInt8]) -> [UInt8] {
        let length = payload.count
        return [
            UInt8(sequence & 0xFF), UInt8(sequence >> 8 & 0xFF), UInt8(sequence >> 16 & 0xFF),
            UInt8(length & 0xFF), UInt8(length >> 8 & 0xFF), UInt8(length >> 16 & 0xFF),
        ] + payload
    }

    public static func chunk(_ bytes: [UInt8]) -> [UInt8] {
        Array(String(bytes.count, radix: 16).utf8) + [13, 10] + bytes + [13, 10]
    }

    public static let lastChunk: [UInt8] = Array("0\r\n\r\n".utf8)

    /// 16-bit mono samples that count: each sample tells its own place, modulo 65,536.
    public static func ramp(from start: Int, samples: Int) -> [UInt8] {
        (start..<(start + samples)).flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8 & 0xFF)] }
    }

    /// A chunk of a RIFF file.
    public static func riffChunk(_ tag: String, _ body: [UInt8]) -> [UInt8] {
        Array(tag.utf8) + little(body.count, 4) + body + (body.count % 2 == 1 ? [0] : [])
    }

    public static func little(_ value: Int, _ bytes: Int) -> [UInt8] {
        (0..<bytes).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }

    /// Everything of a WAV file before its sound.
    ///
    /// - Parameters:
    ///   - tag: 1 integers, 3 floating point.
    ///   - extra: whole chunks between WAVE and `fmt `.
    ///   - between: whole chunks between `fmt ` and the data.
    public static func wavHeader(
        tag: Int = 1, channels: Int = 1, rate: Int = 48_000, bits: Int = 16, dataBytes: Int = 0,
        extensible: Bool = false,
        extra: [UInt8] = [], between: [UInt8] = []
    ) -> [UInt8] {
        let align = channels * bits / 8
        var format = little(extensible ? 0xFFFE : tag, 2) + little(channels, 2) + little(rate, 4)
        format += little(rate * align, 4) + little(align, 2) + little(bits, 2)
        if extensible {
            format += little(22, 2) + little(bits, 2) + little(0, 4) + little(tag, 2)
            format += [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]
        }
        let body =
            Array("WAVE".utf8) + extra + riffChunk("fmt ", format) + between + Array("data".utf8) + little(dataBytes, 4)
        return Array("RIFF".utf8) + little(body.count + dataBytes, 4) + body
    }

    /// A header of 450 bytes, as the stock sample's is.
    public static func stockHeader(dataBytes: Int) -> [UInt8] {
        // 44 bytes and one LIST chunk of 8 + 398.
        wavHeader(dataBytes: dataBytes, between: riffChunk("LIST", [UInt8](repeating: 0x20, count: 398)))
    }
}
