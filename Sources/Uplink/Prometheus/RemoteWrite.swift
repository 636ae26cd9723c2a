import CSnappy

/// The body of a remote write request, version 1.0: `prometheus.WriteRequest` in protocol buffers, as a snappy block
/// (prometheus.io, "Prometheus Remote-Write 1.0 specification").
struct RemoteWrite {
    private struct Sample {
        let value: Double
        let milliseconds: Int64
    }

    private var order: [[ExpositionText.Label]] = []
    private var series: [[ExpositionText.Label]: [Sample]] = [:]

    var isEmpty: Bool { order.isEmpty }

    /// Samples must be added in the order of their times.
    mutating func add(_ sample: ExpositionText.Sample, milliseconds: Int64) {
        if series[sample.labels] == nil { order.append(sample.labels) }
        series[sample.labels, default: []].append(Sample(value: sample.value, milliseconds: milliseconds))
    }

    /// Empty when there is no memory for it.
    func body() -> [UInt8] {
        let plain = encoded()
        var length = snappy_max_compressed_length(plain.count)
        var out = [CChar](repeating: 0, count: length)
        let status = plain.withUnsafeBytes { bytes in
            snappy_compress(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, &out, &length)
        }
        return status == SNAPPY_OK ? out[..<length].map { UInt8(bitPattern: $0) } : []
    }

    func encoded() -> [UInt8] {
        var request: [UInt8] = []
        for labels in order {
            var one: [UInt8] = []
            for label in labels {
                var pair: [UInt8] = []
                Self.field(1, Array(label.name.utf8), &pair)
                Self.field(2, Array(label.value.utf8), &pair)
                Self.field(1, pair, &one)
            }
            for sample in series[labels] ?? [] {
                var pair: [UInt8] = []
                // Field 1, 64 bits; field 2, a varint.
                pair.append(0x09)
                withUnsafeBytes(of: sample.value.bitPattern.littleEndian) { pair += $0 }
                pair.append(0x10)
                Self.varint(UInt64(bitPattern: sample.milliseconds), &pair)
                Self.field(2, pair, &one)
            }
            Self.field(1, one, &request)
        }
        return request
    }

    private static func field(_ number: UInt64, _ bytes: [UInt8], _ out: inout [UInt8]) {
        varint(number << 3 | 2, &out)
        varint(UInt64(bytes.count), &out)
        out += bytes
    }

    private static func varint(_ value: UInt64, _ out: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            out.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        out.append(UInt8(rest))
    }
}
