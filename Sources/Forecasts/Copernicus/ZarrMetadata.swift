import Foundation

/// The consolidated metadata of a Zarr store (`.zmetadata`).
public struct ZarrMetadata: Sendable, Equatable {
    public static let mostBytes = 8 << 20
    public let arrays: [String: ZarrArray]

    public init(_ bytes: [UInt8]) throws(ZarrError) {
        guard let object = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any],
            let metadata = object["metadata"] as? [String: Any]
        else { throw ZarrError("the store's metadata are not JSON with `metadata`") }
        var arrays: [String: ZarrArray] = [:]
        for (key, value) in metadata where key.hasSuffix("/.zarray") {
            let name = String(key.dropLast("/.zarray".count))
            guard let array = value as? [String: Any], name.utf8.count <= 100 else { continue }
            let attributes = metadata["\(name)/.zattrs"] as? [String: Any] ?? [:]
            // Arrays that are of no use here may be of any kind.
            if let array = try? ZarrArray(name: name, array: array, attributes: attributes) { arrays[name] = array }
        }
        self.arrays = arrays
    }

    public func array(_ name: String) throws(ZarrError) -> ZarrArray {
        guard let array = arrays[name] else { throw ZarrError("the store has no `\(name)` that can be read") }
        return array
    }
}
