import Foundation

/// What is wrong with a Zarr store.
public struct ZarrError: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}

/// An array of a Zarr store of format 2: its shape, its chunks and how they are packed
/// (zarr-specs, "Zarr storage specification version 2").
public struct ZarrArray: Sendable, Equatable {
    public enum Element: String, Sendable, CaseIterable {
        case float32 = "<f4"
        case float64 = "<f8"
        case int16 = "<i2"
        case int32 = "<i4"
        case int64 = "<i8"

        var bytes: Int {
            switch self {
            case .int16: 2
            case .float32, .int32: 4
            case .float64, .int64: 8
            }
        }
    }

    public let name: String
    public let shape: [Int]
    public let chunks: [Int]
    public let dimensions: [String]
    public let element: Element
    /// Packed value; nil when there is none.
    public let fill: Double?
    public let scale: Double
    public let offset: Double
    public let units: String
    let isPacked: Bool
    private let separator: String

    /// Of one chunk when it is unpacked.
    static let mostChunkBytes = 256 << 20

    init(name: String, array: [String: Any], attributes: [String: Any]) throws(ZarrError) {
        self.name = name
        guard (array["zarr_format"] as? NSNumber)?.intValue == 2 else { throw ZarrError("\(name) is not of format 2") }
        shape = try Self.counts(array["shape"], of: name)
        chunks = try Self.counts(array["chunks"], of: name)
        guard !shape.isEmpty, shape.count == chunks.count, shape.count <= 4, chunks.allSatisfy({ $0 > 0 }) else {
            throw ZarrError("\(name) has the shape \(shape) in chunks of \(chunks)")
        }
        let type = array["dtype"] as? String ?? ""
        guard let element = Element(rawValue: type) else { throw ZarrError("\(name) has values of the type `\(type)`") }
        self.element = element
        guard array["order"] as? String ?? "C" == "C" else { throw ZarrError("\(name) is not in the order C") }
        if let filters = array["filters"] as? [Any], !filters.isEmpty { throw ZarrError("\(name) has filters") }
        if let compressor = array["compressor"] as? [String: Any] {
            let id = compressor["id"] as? String ?? ""
            guard id == "blosc" else { throw ZarrError("\(name) is packed by `\(id)`") }
            isPacked = true
        } else {
            isPacked = false
        }
        var bytes = element.bytes
        for count in chunks {
            let (product, isOver) = bytes.multipliedReportingOverflow(by: count)
            guard !isOver, product <= Self.mostChunkBytes else { throw ZarrError("\(name) has chunks of \(chunks)") }
            bytes = product
        }
        func number(_ value: Any?) -> Double? { (value as? NSNumber)?.doubleValue }
        fill = number(array["fill_value"]) ?? number(attributes["_FillValue"])
        scale = number(attributes["scale_factor"]) ?? 1
        offset = number(attributes["add_offset"]) ?? 0
        units = attributes["units"] as? String ?? ""
        separator = array["dimension_separator"] as? String ?? "."
        dimensions = attributes["_ARRAY_DIMENSIONS"] as? [String] ?? []
        guard dimensions.count == shape.count else { throw ZarrError("\(name) has no names for its dimensions") }
    }

    private static func counts(_ value: Any?, of name: String) throws(ZarrError) -> [Int] {
        guard let numbers = value as? [NSNumber] else { throw ZarrError("\(name) has no shape") }
        var counts: [Int] = []
        for number in numbers {
            guard let count = Int(exactly: number.doubleValue), (0...2_000_000_000).contains(count) else {
                throw ZarrError("\(name) has a dimension of \(number)")
            }
            counts.append(count)
        }
        return counts
    }

    /// `uo/0.49.1.2`
    func key(_ chunk: [Int]) -> String { "\(name)/\(chunk.map(String.init).joined(separator: separator))" }

    var chunkBytes: Int { chunks.reduce(element.bytes, *) }

    /// Unpacks a chunk as it is stored.
    func chunk(_ body: [UInt8]) throws(ZarrError) -> ZarrChunk {
        var bytes = body
        if isPacked {
            do throws(BloscChunk.Malformed) {
                bytes = try BloscChunk.unpack(body, byteCount: chunkBytes)
            } catch {
                throw ZarrError("\(name) has \(error)")
            }
        }
        guard bytes.count == chunkBytes else { throw ZarrError("\(name) has a chunk of \(bytes.count) bytes") }
        return ZarrChunk(array: self, bytes: bytes)
    }
}

/// The values of a chunk, in the order C. Chunks at the edges are as large as all others. A value is made when it is asked
/// for: of a chunk of a million mostly few are.
struct ZarrChunk {
    let array: ZarrArray
    fileprivate let bytes: [UInt8]

    fileprivate init(array: ZarrArray, bytes: [UInt8]) {
        self.array = array
        self.bytes = bytes
    }

    var count: Int { bytes.count / array.element.bytes }

    /// Scaled; NaN where there is none.
    ///
    /// Memory: the chunk owns the bytes until the closure returns; the index is checked.
    subscript(index: Int) -> Double {
        precondition((0..<count).contains(index))
        let place = index * array.element.bytes
        let packed = unsafe bytes.withUnsafeBytes { bytes -> Double in
            func load<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type) -> Value {
                unsafe Value(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: type))
            }
            return switch array.element {
            case .float32: Double(Float(bitPattern: load(UInt32.self)))
            case .float64: Double(bitPattern: load(UInt64.self))
            case .int16: Double(load(Int16.self))
            case .int32: Double(load(Int32.self))
            case .int64: Double(load(Int64.self))
            }
        }
        return packed == array.fill || packed.isNaN ? .nan : packed * array.scale + array.offset
    }
}
