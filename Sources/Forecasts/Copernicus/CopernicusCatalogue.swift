import Foundation
import TextParts

/// Copernicus Marine's catalogue: where a dataset's newest version is. Each document is judged by itself; nothing is fetched
/// here.
public enum CopernicusCatalogue {
    static let mostBytes = 16 << 20

    private static func object(_ bytes: [UInt8], _ what: String) throws(CollectionFailure) -> [String: Any] {
        guard let object = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any] else {
            throw .failed("\(what) of Copernicus Marine is not JSON")
        }
        return object
    }

    /// Where the catalogue begins, and where it says which product a dataset belongs to.
    static func roots(_ config: [UInt8]) throws(CollectionFailure) -> (stac: String, idMapping: String) {
        let catalogues = try object(config, "the configuration")["catalogues"] as? [[String: Any]]
        guard let first = catalogues?.first, let stac = first["stacRoot"] as? String,
            let mapping = first["idMapping"] as? String
        else { throw .failed("the configuration of Copernicus Marine names no catalogue") }
        return (stac.hasSuffix("/") ? String(stac.dropLast()) : stac, mapping)
    }

    static func product(of dataset: String, _ mapping: [UInt8]) throws(CollectionFailure) -> String {
        let products = try object(mapping, "the list of datasets")[dataset] as? String
        guard let product = products?.parts(at: ",").first else {
            throw .missing("Copernicus Marine has no dataset \(dataset) (copernicus_dataset)")
        }
        return String(product)
    }

    /// Paths of a dataset's versions, the newest first. A version is the suffix `_YYYYMM`.
    static func versions(of dataset: String, _ product: [UInt8]) throws(CollectionFailure) -> [String] {
        let links = try object(product, "the product")["links"] as? [[String: Any]] ?? []
        var found: [(version: String, path: String)] = []
        for link in links where link["rel"] as? String == "item" {
            guard let path = link["href"] as? String,
                let folder = path.parts(at: "/").dropLast().last.map(String.init),
                folder.hasPrefix(dataset)
            else { continue }
            let suffix = folder.dropFirst(dataset.count)
            if suffix.isEmpty {
                found.append(("", path))
            } else if suffix.utf8.count == 7, suffix.hasPrefix("_"), suffix.dropFirst().allSatisfy(\.isNumber) {
                found.append((String(suffix), path))
            }
        }
        guard !found.isEmpty else { throw .missing("the product of \(dataset) does not list it") }
        return found.sorted { $0.version > $1.version }.map(\.path)
    }

    /// A version of a dataset.
    struct Item: Sendable, Equatable {
        /// The folder of its Zarr store, chunked for maps.
        let store: String
        /// What is valid from then on is still being rewritten; seconds since 1970, nil when it does not say so.
        let updatingSeconds: Int64?
        /// Nil when it does not say so.
        let releasedSeconds: Int64?
    }

    static func item(_ bytes: [UInt8]) throws(CollectionFailure) -> Item {
        let item = try object(bytes, "the dataset")
        let assets = item["assets"] as? [String: Any]
        guard let asset = assets?["timeChunked"] as? [String: Any], let href = asset["href"] as? String,
            href.hasPrefix("https://") || href.hasPrefix("http://")
        else { throw .failed("the dataset has no store that is chunked for maps") }
        let properties = item["properties"] as? [String: Any]
        func time(_ name: String) -> Int64? { (properties?[name] as? String).flatMap { CalendarTime.seconds($0) } }
        return Item(
            store: href.hasSuffix("/") ? String(href.dropLast()) : href,
            updatingSeconds: time("admp_updating_start_date"), releasedSeconds: time("admp_released_date"))
    }

    /// The name by which an account is known at the data store.
    static func userName(_ bytes: [UInt8]) throws(CollectionFailure) -> String {
        guard let name = try object(bytes, "the account")["preferred_username"] as? String, !name.isEmpty else {
            throw .failed("Copernicus Marine does not say the account's name")
        }
        return name
    }

    static func token(_ bytes: [UInt8]) throws(CollectionFailure) -> String {
        guard let token = try object(bytes, "the log-in")["access_token"] as? String, !token.isEmpty else {
            throw .failed("Copernicus Marine's log-in gives no token")
        }
        return token
    }
}
