import Digests
import Store

/// The catalogue of forecast fields, in the tables that readers of the replaced aggregator query: its columns, types and values.
/// `aggregator_uuid` and `natural_id` are further columns.
extension PostgreSQLTables {
    static let datasets = Table(
        name: "aggregator_datasets",
        columns: [
            "id", "data_type", "source", "forecast_date", "forecast_cycle", "valid_time_start", "valid_time_end",
            "file_path", "file_size_bytes", "is_forecast", "created_at", "last_accessed_at", "aggregator_uuid",
            "natural_id",
        ],
        create: """
            CREATE TABLE IF NOT EXISTS aggregator_datasets (
                id uuid PRIMARY KEY, data_type varchar(50) NOT NULL, source varchar(50) NOT NULL,
                forecast_date timestamp NOT NULL, forecast_cycle varchar(10) NOT NULL,
                valid_time_start timestamp NOT NULL, valid_time_end timestamp NOT NULL, file_path varchar(500) NOT NULL,
                file_size_bytes bigint NOT NULL, is_forecast boolean NOT NULL, created_at timestamp NOT NULL,
                last_accessed_at timestamp, aggregator_uuid text, natural_id text)
            """)

    static let collections = Table(
        name: "aggregator_collection_status",
        columns: [
            "collection_id", "data_type", "status", "started_at", "completed_at", "records_collected",
            "error_message", "aggregator_uuid", "natural_id",
        ],
        create: """
            CREATE TABLE IF NOT EXISTS aggregator_collection_status (
                collection_id uuid PRIMARY KEY, data_type varchar(50) NOT NULL, status varchar(50) NOT NULL,
                started_at timestamp NOT NULL, completed_at timestamp, records_collected integer NOT NULL,
                error_message text, aggregator_uuid text, natural_id text)
            """)

    /// Which table of the catalogue has these columns of ours, and how the form that it had until version 0.1 is changed to today's.
    struct FormerForm: Sendable {
        /// The key, which was the natural id as text.
        let key: String
        /// Clauses of `ALTER TABLE` after `natural_id` and the UUIDs have been written.
        let changes: [String]
    }

    static let formerDatasets = FormerForm(
        key: "id",
        changes: [
            "ALTER id TYPE uuid USING id::uuid", dataTypeChange,
            """
            ALTER source TYPE varchar(50) USING CASE source WHEN 'NOAA GFS' THEN 'noaa_gfs'
                WHEN 'NOAA GFS-Wave' THEN 'noaa_gfs_wave' WHEN 'Copernicus Marine' THEN 'copernicus' ELSE source END
            """,
            "ALTER forecast_date TYPE timestamp USING forecast_date::timestamp",
            "ALTER forecast_cycle TYPE varchar(10) USING lpad(forecast_cycle::text, 2, '0')",
            utcChange("valid_time_start"), utcChange("valid_time_end"), "ALTER file_path TYPE varchar(500)",
            utcChange("created_at"), utcChange("last_accessed_at"),
        ] + keyChanges("id"))

    static let formerCollections = FormerForm(
        key: "collection_id",
        changes: [
            "ALTER collection_id TYPE uuid USING collection_id::uuid", dataTypeChange,
            "ALTER status TYPE varchar(50)", utcChange("started_at"), utcChange("completed_at"),
        ] + keyChanges("collection_id"))

    private static let dataTypeChange =
        "ALTER data_type TYPE varchar(50) USING CASE data_type WHEN 'ocean-currents' THEN 'ocean_currents' ELSE data_type END"

    private static func utcChange(_ column: String) -> String {
        "ALTER \(column) TYPE timestamp USING \(column) AT TIME ZONE 'UTC'"
    }

    private static func keyChanges(_ key: String) -> [String] {
        ["ALTER aggregator_uuid DROP NOT NULL", "ADD PRIMARY KEY (\(key))"]
    }

    // MARK: - Rows

    /// The key of a row: a UUID of version 5, of the box's name in the namespace of domain names, and of the natural id in the
    /// namespace that this gives.
    static func key(_ naturalID: String, aggregator: String) -> String {
        NameBasedUUID(name: naturalID, namespace: NameBasedUUID(name: aggregator, namespace: .dns)).description
    }

    /// - Parameter place: where the field's file is, for whoever reads of it there.
    static func row(_ dataset: DatasetRecord, place: String, aggregator: String) -> [String?] {
        let cycle = dataset.runSeconds / 3600 % 24
        return [
            key(dataset.id, aggregator: aggregator), dataType(dataset.kind), source(dataset.source),
            "\(time(dataset.runSeconds).prefix(10)) 00:00:00", cycle < 10 ? "0\(cycle)" : "\(cycle)",
            time(dataset.validFromSeconds), time(dataset.validToSeconds), place, "\(dataset.bytes)",
            "\(dataset.isForecast)", time(dataset.createdSeconds), dataset.readSeconds.map(time), aggregator,
            dataset.id,
        ]
    }

    static func row(_ collection: CollectionRecord, aggregator: String) -> [String?] {
        [
            key(collection.id, aggregator: aggregator), dataType(collection.kind), collection.status.rawValue,
            time(collection.startedSeconds), collection.completedSeconds.map(time), "\(collection.collected)",
            collection.error, aggregator, collection.id,
        ]
    }

    /// UTC without a zone, as `timestamp` has it: `2026-08-29 03:00:00`.
    private static func time(_ seconds: Int64) -> String {
        let text = UTCText.microseconds(seconds * 1_000_000_000)
        return "\(text.prefix(10)) \(text.dropFirst(11).prefix(8))"
    }

    private static func dataType(_ kind: String) -> String { kind == "ocean-currents" ? "ocean_currents" : kind }

    private static func source(_ source: String) -> String {
        switch source {
        case "NOAA GFS": "noaa_gfs"
        case "NOAA GFS-Wave": "noaa_gfs_wave"
        case "Copernicus Marine": "copernicus"
        default: source
        }
    }

    /// Writes a row, or how it is now; the first column is its key.
    static func upsert(_ table: Table) -> String {
        let marks = table.columns.indices.map { "$\($0 + 1)" }.joined(separator: ", ")
        let changes = table.columns.dropFirst().map { "\($0) = excluded.\($0)" }.joined(separator: ", ")
        return """
            INSERT INTO \(table.name) (\(table.columns.joined(separator: ", "))) VALUES (\(marks)) \
            ON CONFLICT (\(table.columns[0])) DO UPDATE SET \(changes)
            """
    }

    static func remove(_ table: Table) -> String { "DELETE FROM \(table.name) WHERE \(table.columns[0]) = $1" }
}
