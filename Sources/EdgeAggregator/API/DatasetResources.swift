import Forecasts
import Hummingbird
import Store

/// `/api/v1/datasets`: the catalogue of forecast fields, and their files.
struct DatasetResources: Sendable {
    let house: ForecastHouse

    struct Dataset: Codable {
        let id: String
        let dataType: String
        let source: String
        let forecastDate: String
        let forecastCycle: Int
        let validTimeStart: String
        let validTimeEnd: String
        let filePath: String
        let fileSizeBytes: Int64
        let isForecast: Bool
        let createdAt: String
        let lastAccessedAt: String?

        init(_ record: DatasetRecord) {
            id = record.id
            dataType = record.kind
            source = record.source
            forecastDate = String(CalendarTime.text(record.runSeconds).prefix(10))
            forecastCycle = Int(record.runSeconds / 3600 % 24)
            validTimeStart = CalendarTime.text(record.validFromSeconds)
            validTimeEnd = CalendarTime.text(record.validToSeconds)
            filePath = record.path
            fileSizeBytes = record.bytes
            isForecast = record.isForecast
            createdAt = CalendarTime.text(record.createdSeconds)
            lastAccessedAt = record.readSeconds.map(CalendarTime.text)
        }
    }

    struct Page: Codable { let datasets: [Dataset] }

    /// `?type=`, `?start_time=`, `?end_time=`, `?run=` (its beginning), `?newest=true` (of each time the newest run's),
    /// `?limit=`
    @Sendable
    func list(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let fields = Query(request)
        var query = DatasetQuery()
        query.kind = fields.text("type").map { ForecastKind(name: $0)?.rawValue ?? $0 }
        query.fromSeconds = try fields.time("start_time").map { $0 / 1_000_000_000 }
        query.toSeconds = try fields.time("end_time").map { $0 / 1_000_000_000 }
        query.isNewestOnly = ["true", "1", "yes"].contains(fields.text("newest") ?? "")
        if fields.text("run") == "newest" {
            let counts = try await house.store.datasetCounts()
            query.runSeconds = counts.filter { query.kind == nil || $0.kind == query.kind }
                .compactMap(\.newestRunSeconds).max()
        } else {
            query.runSeconds = try fields.time("run").map { $0 / 1_000_000_000 }
        }
        query.limit = try fields.limit(1000)
        return try Answer.json(Page(datasets: try await house.store.datasets(query).map(Dataset.init)))
    }

    private func record(_ context: EdgeContext) async throws -> DatasetRecord? {
        let record = try await house.store.dataset(id: try context.parameters.require("id"))
        return record?.state == .ready ? record : nil
    }

    private func unknown() throws -> Response {
        try Answer.problem(.notFound, "No such dataset", detail: "See /api/v1/datasets")
    }

    @Sendable
    func show(_ request: Request, _ context: EdgeContext) async throws -> Response {
        guard let record = try await record(context) else { return try unknown() }
        return try Answer.json(Dataset(record))
    }

    @Sendable
    func download(_ request: Request, _ context: EdgeContext) async throws -> Response {
        guard let record = try await record(context) else { return try unknown() }
        let now = house.now()
        if now - (record.readSeconds ?? 0) >= 60 {
            house.store.enqueue([.datasetsRead(ids: [record.id], atSeconds: now)])
        }
        return try await FileDownload(
            path: house.archive.path(record.path), name: "\(record.id).nc", type: "application/netcdf"
        ).answer(request)
    }

    struct Status: Codable {
        struct Kind: Codable {
            let dataType: String
            let isCollected: Bool
            let datasets: Int64
            let bytes: Int64
            let newestRun: String?
            let from: String?
            let to: String?
            let collectionsCompleted: Int64
            let collectionsFailed: Int64
            let lastCollection: Collection?
        }

        struct Collection: Codable {
            let collectionId: String
            let status: String
            let startedAt: String
            let completedAt: String?
            let recordsCollected: Int
            let errorMessage: String?
        }

        struct Job: Codable {
            let job: String
            let state: String
            let nextRunAt: String?
            let failure: String?
        }

        let isOn: Bool
        let types: [Kind]
        let jobs: [Job]
        let fetchedTodayBytes: Int64
        /// 0 for no limit.
        let dailyBytes: Int64
        let shortage: String?
    }

    @Sendable
    func status(_ request: Request, _ context: EdgeContext) async throws -> Response {
        try Answer.json(try await status())
    }

    func status() async throws -> Status {
        let counts = try await house.store.datasetCounts()
        let collections = try await house.store.collectionCounts()
        var types: [Status.Kind] = []
        for kind in ForecastKind.allCases {
            let count = counts.first { $0.kind == kind.rawValue }
            let last = try await house.store.collections(kind: kind.rawValue, limit: 1).first
            let isCollected = house.settings.isOn && house.kinds.contains(kind)
            guard count != nil || last != nil || isCollected else { continue }
            func number(_ status: CollectionRecord.Status) -> Int64 {
                collections.first { $0.kind == kind.rawValue && $0.status == status }?.count ?? 0
            }
            types.append(
                Status.Kind(
                    dataType: kind.rawValue, isCollected: isCollected, datasets: count?.kept ?? 0,
                    bytes: count?.bytes ?? 0, newestRun: count?.newestRunSeconds.map(CalendarTime.text),
                    from: count?.fromSeconds.map(CalendarTime.text), to: count?.toSeconds.map(CalendarTime.text),
                    collectionsCompleted: number(.completed), collectionsFailed: number(.failed),
                    lastCollection: last.map(Self.collection)))
        }
        let jobs = house.metrics.snapshot
        let day = String(CalendarTime.text(house.now()).prefix(10))
        return Status(
            isOn: house.settings.isOn, types: types,
            jobs: ForecastMetrics.Job.allCases.map { job in
                let state = jobs.states[job] ?? .off
                return Status.Job(
                    job: job.rawValue, state: state.rawValue,
                    nextRunAt: state == .off ? nil : jobs.next[job].map(CalendarTime.text), failure: jobs.failures[job])
            },
            fetchedTodayBytes: try await house.store.forecastTraffic(day: day),
            dailyBytes: house.settings.mostDailyBytes, shortage: house.shortage())
    }

    private static func collection(_ record: CollectionRecord) -> Status.Collection {
        Status.Collection(
            collectionId: record.id, status: record.status.rawValue,
            startedAt: CalendarTime.text(record.startedSeconds),
            completedAt: record.completedSeconds.map(CalendarTime.text), recordsCollected: record.collected,
            errorMessage: record.error)
    }
}
