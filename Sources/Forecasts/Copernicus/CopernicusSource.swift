import Foundation

/// Copernicus Marine: logs in, finds the newest version of a dataset, and fetches chunks of its surface.
public struct CopernicusSource: Sendable {
    private let account: CopernicusAccount

    public init(_ account: CopernicusAccount) { self.account = account }

    /// A dataset that is open: its arrays and axes.
    public struct Dataset: Sendable {
        let store: String
        let user: String
        public let grid: RegularGrid
        /// Seconds since 1970, by their place.
        public let times: [Int64]
        /// What is valid from then on is still being rewritten.
        public let updatingSeconds: Int64?
        /// Towards the east and towards the north.
        public let components: [ZarrArray]
        /// Of the surface; nil when the arrays have no depth.
        let level: Int?
    }

    /// Names of the components, the wanted ones first: whole currents with tides and waves where a dataset has them.
    private static let names = [["utotal", "vtotal"], ["uo", "vo"]]

    /// Logs in and reads what there is.
    ///
    /// - Parameter now: seconds since 1970.
    public func open(now: Int64, fetcher: some Fetcher) async throws(CollectionFailure) -> Dataset {
        let user = try await logIn(fetcher)
        let item = try await item(now: now, fetcher)
        let metadata: ZarrMetadata
        let bytes = try await fetcher.document(
            FetchRequest(url(item.store, ".zmetadata", user: user), mostBytes: ZarrMetadata.mostBytes)
        ).body
        do throws(ZarrError) {
            metadata = try ZarrMetadata(bytes)
            guard let names = Self.names.first(where: { $0.allSatisfy { metadata.arrays[$0] != nil } }) else {
                throw ZarrError("the dataset has neither uo and vo nor utotal and vtotal")
            }
            let components = try names.map { name throws(ZarrError) in try metadata.array(name) }
            guard components[0].shape == components[1].shape,
                components[0].dimensions.suffix(2) == ["latitude", "longitude"],
                components[0].dimensions.first == "time", (3...4).contains(components[0].shape.count)
            else { throw ZarrError("\(names[0]) has the dimensions \(components[0].dimensions)") }
            return try await dataset(item, metadata, components, user: user, fetcher: fetcher)
        } catch {
            throw .failed("the store of \(account.dataset) cannot be read: \(error)")
        }
    }

    private func dataset(
        _ item: CopernicusCatalogue.Item, _ metadata: ZarrMetadata, _ components: [ZarrArray], user: String,
        fetcher: some Fetcher
    ) async throws(ZarrError) -> Dataset {
        func axis(_ name: String) async throws(ZarrError) -> [Double] {
            let array = try metadata.array(name)
            return try await values(array, item.store, user: user, fetcher)
        }
        let timeArray = try metadata.array("time")
        let units = try TimeUnits(timeArray.units)
        var times: [Int64] = []
        for value in try await axis("time") {
            guard let time = units.seconds(value) else { throw ZarrError("a time is \(value)") }
            times.append(time)
        }
        let grid = RegularGrid(
            latitude: try Self.regular(try await axis("latitude"), "latitude"),
            longitude: try Self.regular(try await axis("longitude"), "longitude"))
        let shape = components[0].shape
        guard shape[0] == times.count, shape.suffix(2) == [grid.latitude.count, grid.longitude.count] else {
            throw ZarrError("\(components[0].name) has the shape \(shape), and its axes do not")
        }
        var level: Int?
        if shape.count == 4 {
            // Heights, below zero, or depths: the surface is nearest to zero.
            let depths = try await axis(components[0].dimensions[1])
            level = depths.indices.min { abs(depths[$0]) < abs(depths[$1]) }
            guard depths.count == shape[1], level != nil else {
                throw ZarrError("the levels are not those of the arrays")
            }
        }
        return Dataset(
            store: item.store, user: user, grid: grid, times: times, updatingSeconds: item.updatingSeconds,
            components: components, level: level)
    }

    private static func regular(_ values: [Double], _ name: String) throws(ZarrError) -> RegularAxis {
        guard values.count >= 2, let first = values.first, let last = values.last, last > first else {
            throw ZarrError("\(name) does not ascend")
        }
        let axis = RegularAxis(first: first, step: (last - first) / Double(values.count - 1), count: values.count)
        // Single precision is off by a few millionths of a degree.
        guard values.enumerated().allSatisfy({ abs($1 - axis.value($0)) < axis.step / 20 }) else {
            throw ZarrError("\(name) has no even steps")
        }
        return axis
    }

    /// All of a short array: an axis.
    private func values(
        _ array: ZarrArray, _ store: String, user: String, _ fetcher: some Fetcher
    ) async throws(ZarrError) -> [Double] {
        guard array.shape.count == 1, array.shape[0] <= 1_000_000 else {
            throw ZarrError("\(array.name) is not an axis")
        }
        var values: [Double] = []
        while values.count < array.shape[0] {
            let url = url(store, array.key([values.count / array.chunks[0]]), user: user)
            let body: [UInt8]
            do throws(CollectionFailure) {
                body = try await fetcher.document(FetchRequest(url, mostBytes: array.chunkBytes + 65_536)).body
            } catch {
                throw ZarrError(error.description)
            }
            // The last chunk is as long as all others.
            let chunk = try array.chunk(body)
            values += (0..<min(chunk.count, array.shape[0] - values.count)).map { chunk[$0] }
        }
        return values
    }

    // MARK: - Values

    /// The pieces of a component that a window of a time shows.
    public func pieces(
        of dataset: Dataset, component: Int, time: Int, window: GridWindow
    ) throws(CollectionFailure) -> ZarrWindow {
        do throws(ZarrError) {
            return try ZarrWindow(
                dataset.components[component], leading: [time] + (dataset.level.map { [$0] } ?? []), window: window)
        } catch {
            throw .failed("\(error)")
        }
    }

    /// A chunk as it is stored; nil for one that is not there, which means that it has no values.
    public func chunk(
        _ piece: ZarrWindow.Piece, of dataset: Dataset, fetcher: some Fetcher
    ) async throws(CollectionFailure) -> [UInt8]? {
        let most = (dataset.components.map(\.chunkBytes).max() ?? 0) + 65_536
        do throws(CollectionFailure) {
            return try await fetcher.document(
                FetchRequest(url(dataset.store, piece.key, user: dataset.user), mostBytes: most)
            ).body
        } catch {
            if case .missing = error { return nil }
            throw error
        }
    }

    // MARK: - The way there

    private func url(_ store: String, _ key: String, user: String) -> String {
        let name = user.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        return "\(store)/\(key)?x-cop-client=edge-aggregator&x-cop-user=\(name)"
    }

    /// The account's name. The token only shows that it exists; one that is not taken is asked for once more.
    private func logIn(_ fetcher: some Fetcher) async throws(CollectionFailure) -> String {
        func form(_ text: String) -> String { text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? "" }
        let body =
            "client_id=toolbox&grant_type=password&username=\(form(account.user))&password=\(form(account.password))"
            + "&scope=openid%20profile%20email"
        let ask = FetchRequest(
            account.authURL, method: "POST", headers: ["Content-Type": "application/x-www-form-urlencoded"],
            body: Array(body.utf8), mostBytes: 1 << 20)
        let place = account.authURL.hasSuffix("/token") ? String(account.authURL.dropLast(6)) : account.authURL
        for _ in 0..<2 {
            let token: String
            do throws(CollectionFailure) {
                token = try CopernicusCatalogue.token(try await fetcher.document(ask).body)
            } catch {
                guard case .unauthorised = error else { throw error }
                throw .unauthorised(
                    "Copernicus Marine does not know the account: copernicus_username or copernicus_password is wrong")
            }
            do throws(CollectionFailure) {
                let answer = try await fetcher.document(
                    FetchRequest("\(place)/userinfo", headers: ["Authorization": "Bearer \(token)"], mostBytes: 1 << 20)
                )
                return try CopernicusCatalogue.userName(answer.body)
            } catch {
                guard case .unauthorised = error else { throw error }
            }
        }
        throw .unauthorised("Copernicus Marine takes none of the tokens that it gives")
    }

    private func item(now: Int64, _ fetcher: some Fetcher) async throws(CollectionFailure) -> CopernicusCatalogue.Item {
        func get(_ url: String) async throws(CollectionFailure) -> [UInt8] {
            try await fetcher.document(FetchRequest(url, mostBytes: CopernicusCatalogue.mostBytes)).body
        }
        let roots = try CopernicusCatalogue.roots(try await get(account.configURL))
        let product = try CopernicusCatalogue.product(of: account.dataset, try await get(roots.idMapping))
        let folder = "\(roots.stac)/\(product)"
        let versions = try CopernicusCatalogue.versions(
            of: account.dataset, try await get("\(folder)/product.stac.json"))
        for path in versions {
            let item = try CopernicusCatalogue.item(try await get("\(folder)/\(path)"))
            if (item.releasedSeconds ?? 0) <= now { return item }
        }
        throw .missing("no version of \(account.dataset) is released")
    }
}
