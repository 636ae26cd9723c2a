import CSnappy

/// The body of a remote write request, as a snappy block of protocol buffers (prometheus.io, "Prometheus Remote-Write
/// specification", 1.0: `prometheus.WriteRequest`; 2.0: `io.prometheus.write.v2.Request`, in which a string stands once).
struct RemoteWrite {
    enum Version: String, Sendable {
        case one = "1.0"
        case two = "2.0"

        var headers: [(name: String, value: String)] {
            switch self {
            case .one:
                [("Content-Type", "application/x-protobuf"), ("X-Prometheus-Remote-Write-Version", "0.1.0")]
            case .two:
                [
                    ("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
                    ("X-Prometheus-Remote-Write-Version", "2.0.0"),
                ]
            }
        }
    }

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
    ///
    /// Memory: both arrays are this function's, and snappy borrows them for the call.
    func body(_ version: Version) -> [UInt8] {
        let plain = encoded(version)
        var length = snappy_max_compressed_length(plain.count)
        var out = [CChar](repeating: 0, count: length)
        let status = unsafe plain.withUnsafeBytes { bytes in
            unsafe snappy_compress(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, &out, &length)
        }
        return status == SNAPPY_OK ? out[..<length].map { UInt8(bitPattern: $0) } : []
    }

    func encoded(_ version: Version) -> [UInt8] {
        switch version {
        case .one: encodedOne()
        case .two: encodedTwo()
        }
    }

    private func encodedOne() -> [UInt8] {
        var request: [UInt8] = []
        for labels in order {
            var one: [UInt8] = []
            for label in labels {
                var pair: [UInt8] = []
                Self.field(1, Array(label.name.utf8), &pair)
                Self.field(2, Array(label.value.utf8), &pair)
                Self.field(1, pair, &one)
            }
            addSamples(of: labels, to: &one)
            Self.field(1, one, &request)
        }
        return request
    }

    private func encodedTwo() -> [UInt8] {
        // The first symbol is the empty one, by the specification.
        var symbols = [""]
        var places = ["": UInt64(0)]
        func place(_ text: String) -> UInt64 {
            if let known = places[text] { return known }
            symbols.append(text)
            places[text] = UInt64(symbols.count - 1)
            return UInt64(symbols.count - 1)
        }
        var series: [UInt8] = []
        for labels in order {
            var one: [UInt8] = []
            var references: [UInt8] = []
            for label in labels {
                Self.varint(place(label.name), &references)
                Self.varint(place(label.value), &references)
            }
            Self.field(1, references, &one)
            addSamples(of: labels, to: &one)
            Self.field(5, one, &series)
        }
        var request: [UInt8] = []
        for symbol in symbols { Self.field(4, Array(symbol.utf8), &request) }
        return request + series
    }

    /// Both versions have them as field 2, of the same form.
    ///
    /// Memory: the eight bytes are borrowed within the closure and copied.
    private func addSamples(of labels: [ExpositionText.Label], to bytes: inout [UInt8]) {
        for sample in series[labels] ?? [] {
            var pair: [UInt8] = []
            // Field 1, 64 bits; field 2, a varint.
            pair.append(0x09)
            unsafe withUnsafeBytes(of: sample.value.bitPattern.littleEndian) { unsafe pair += $0 }
            pair.append(0x10)
            Self.varint(UInt64(bitPattern: sample.milliseconds), &pair)
            Self.field(2, pair, &bytes)
        }
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
