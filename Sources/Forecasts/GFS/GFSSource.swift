/// Where NCEP's files are, and how they are fetched. Each server is tried in turn; the NOMADS filter is the last.
public struct GFSSource: Sendable {
    public let product: GFSProduct
    /// Such as `https://noaa-gfs-bdp-pds.s3.amazonaws.com`, without a slash at the end.
    public let bases: [String]
    /// Such as `https://nomads.ncep.noaa.gov/cgi-bin`; empty for none.
    public let filterBase: String
    public let box: GeoBox

    /// Of one message; a global one of a quarter of a degree has one or two megabytes.
    static let mostMessageBytes = 32 << 20
    /// Runs begin every six hours.
    public static let cycleSeconds: Int64 = 6 * 3600

    public init(product: GFSProduct, bases: [String], filterBase: String, box: GeoBox) {
        self.product = product
        self.bases = bases
        self.filterBase = filterBase
        self.box = box
    }

    /// One forecast hour: what is there to be fetched, and its bytes as far as the index tells them.
    public struct Step: Sendable, Equatable {
        public var url: String
        public var ranges: [ByteRange]
        /// Nil when the last record of the file is wanted, whose end the index does not know.
        public var bytes: Int64?
    }

    /// The newest run whose last hour is there. Hours come in order, so that the last one's index says it for all.
    ///
    /// - Parameters:
    ///   - notAfter: seconds since 1970.
    ///   - cycles: so many runs are looked at, back from the newest that can be.
    public func newestRun(
        notAfter: Int64, lastHour: Int, cycles: Int = 8, fetcher: some Fetcher
    ) async throws(CollectionFailure) -> Int64 {
        var run = notAfter / Self.cycleSeconds * Self.cycleSeconds
        var reasons: [String] = []
        for _ in 0..<cycles {
            for base in bases {
                do throws(CollectionFailure) {
                    _ = try await step(base: base, runSeconds: run, hour: lastHour, fetcher: fetcher)
                    return run
                } catch {
                    switch error {
                    case .missing: continue
                    case .failed(let reason), .unreachable(let reason): reasons.append(reason)
                    case .unauthorised, .overBudget, .cancelled: throw error
                    }
                }
            }
            run -= Self.cycleSeconds
        }
        throw reasons.first.map { .failed($0) }
            ?? .missing("none of the last \(cycles) runs is there up to hour \(lastHour)")
    }

    /// Reads an index. One that is of another run, or lacks a record, is not there yet.
    public func step(
        base: String, runSeconds: Int64, hour: Int, fetcher: some Fetcher
    ) async throws(CollectionFailure) -> Step {
        let url = "\(base)/\(product.path(runSeconds: runSeconds, hour: hour))"
        let answer = try await fetcher.document(FetchRequest("\(url).idx", mostBytes: GFSIndex.mostBytes))
        let index: GFSIndex
        do throws(GFSIndex.Malformed) {
            index = try GFSIndex(answer.body)
        } catch {
            throw .failed("\(error) (\(url).idx)")
        }
        guard index.isOf(runSeconds: runSeconds) else { throw .failed("the index is of another run (\(url).idx)") }
        var ranges: [ByteRange] = []
        for record in product.records {
            guard let range = index.range(variable: record.variable, level: record.level) else {
                throw .missing("\(record.variable) of \(record.level) is not in \(url).idx")
            }
            ranges.append(range)
        }
        let merged = ByteRange.merged(ranges)
        var bytes: Int64? = 0
        for range in merged { bytes = range.end.flatMap { end in bytes.map { $0 + end - range.first } } }
        return Step(url: url, ranges: merged, bytes: bytes)
    }

    /// The fields of one forecast hour, checked; from whichever server has them right.
    public func fields(
        runSeconds: Int64, hour: Int, fetcher: some Fetcher
    ) async throws(CollectionFailure) -> [GRIBField] {
        var first: CollectionFailure?
        for base in bases {
            // Index and file may be replaced one after the other: what does not fit together is fetched once more.
            for _ in 0..<2 {
                do throws(CollectionFailure) {
                    let step = try await step(base: base, runSeconds: runSeconds, hour: hour, fetcher: fetcher)
                    return try await fields(of: step, runSeconds: runSeconds, hour: hour, fetcher: fetcher)
                } catch {
                    if case .overBudget = error { throw error }
                    if case .cancelled = error { throw error }
                    first = first ?? error
                    if case .missing = error { break }
                }
            }
        }
        if !filterBase.isEmpty,
            let url = product.filterURL(base: filterBase, runSeconds: runSeconds, hour: hour, box: box.grown(0.25))
        {
            do throws(CollectionFailure) {
                let answer = try await fetcher.document(FetchRequest(url, mostBytes: Self.mostMessageBytes))
                return try product.fields(of: Self.messages(answer.body, url), runSeconds: runSeconds, hour: hour)
            } catch {
                if case .overBudget = error { throw error }
                if case .cancelled = error { throw error }
                first = first ?? error
            }
        }
        throw first ?? .failed("no server is set (noaa_gfs_base_url)")
    }

    private func fields(
        of step: Step, runSeconds: Int64, hour: Int, fetcher: some Fetcher
    ) async throws(CollectionFailure) -> [GRIBField] {
        var messages: [GRIBMessage] = []
        for range in step.ranges {
            let bytes = try await fetcher.download(step.url, range, mostBytes: Self.mostMessageBytes)
            messages += try Self.messages(bytes, step.url)
        }
        return try product.fields(of: messages, runSeconds: runSeconds, hour: hour)
    }

    private static func messages(_ bytes: [UInt8], _ url: String) throws(CollectionFailure) -> [GRIBMessage] {
        do throws(GRIBError) { return try GRIBMessage.all(bytes) } catch { throw .failed("\(error) (\(url))") }
    }
}
