/// The steps for nodes of the field and for forecasts.
extension Schema {
    /// Nodes of the field, and what they said: rows of many numbers of one moment. They are numbered together with
    /// observations, so that both share rows of the outbox.
    static let version6 = """
        CREATE TABLE nodes (
            id INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            label TEXT NOT NULL DEFAULT '',
            admission TEXT NOT NULL,
            first_seen_ns INTEGER NOT NULL,
            last_seen_ns INTEGER NOT NULL,
            remote_address TEXT NOT NULL DEFAULT '',
            messages INTEGER NOT NULL DEFAULT 0,
            -- Of the newest reading that tells them.
            reading_ns INTEGER,
            latitude REAL,
            longitude REAL,
            battery REAL,
            signal REAL,
            -- Grows with each change of its rows, so that what was made of them is known to be old.
            version INTEGER NOT NULL DEFAULT 0,
            UNIQUE (kind, name)
        );

        -- Quantities and units of a kind of reading: `co2 ppm,temperature °C`.
        CREATE TABLE layouts (
            id INTEGER PRIMARY KEY,
            columns TEXT NOT NULL UNIQUE
        );

        CREATE TABLE readings (
            id INTEGER PRIMARY KEY,
            node_id INTEGER NOT NULL REFERENCES nodes (id),
            layout_id INTEGER NOT NULL REFERENCES layouts (id),
            time_ns INTEGER NOT NULL,
            -- Eight bytes each (IEEE 754, the lowest first); NaN for what is missing.
            numbers BLOB NOT NULL,
            text TEXT,
            time_quality TEXT NOT NULL,
            -- Of what the box stamped itself.
            boot INTEGER REFERENCES boots (id),
            monotonic_ns INTEGER
        );
        CREATE UNIQUE INDEX readings_identity ON readings (node_id, layout_id, time_ns);
        CREATE INDEX readings_unset ON readings (boot) WHERE time_quality = 'unsynchronised';

        -- How far a file that a node sends has been read; below zero when it was begun anew and not read since.
        CREATE TABLE node_files (
            node_id INTEGER NOT NULL REFERENCES nodes (id),
            path TEXT NOT NULL,
            parsed_bytes INTEGER NOT NULL,
            PRIMARY KEY (node_id, path)
        ) WITHOUT ROWID;

        CREATE TABLE node_errors (
            node_id INTEGER NOT NULL REFERENCES nodes (id),
            path TEXT NOT NULL,
            position INTEGER NOT NULL,
            time_ns INTEGER,
            level TEXT NOT NULL,
            type TEXT NOT NULL,
            message TEXT NOT NULL,
            PRIMARY KEY (node_id, path, position)
        ) WITHOUT ROWID;

        -- Lines that could not be taken, for inspection.
        CREATE TABLE rejected_lines (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            kind TEXT NOT NULL,
            node TEXT NOT NULL,
            line TEXT NOT NULL,
            reason TEXT NOT NULL,
            count INTEGER NOT NULL,
            last_ns INTEGER NOT NULL,
            UNIQUE (kind, node, line)
        );

        CREATE TABLE access_points (
            node_id INTEGER NOT NULL REFERENCES nodes (id),
            bssid TEXT NOT NULL,
            ssid TEXT NOT NULL,
            encryption TEXT NOT NULL,
            latitude REAL,
            longitude REAL,
            seen_s INTEGER,
            PRIMARY KEY (node_id, bssid)
        ) WITHOUT ROWID;

        -- Of all readings of a node, for means: how many numbers, and their sum.
        CREATE TABLE reading_sums (
            node_id INTEGER NOT NULL REFERENCES nodes (id),
            layout_id INTEGER NOT NULL REFERENCES layouts (id),
            place INTEGER NOT NULL,
            count INTEGER NOT NULL,
            sum REAL NOT NULL,
            PRIMARY KEY (node_id, layout_id, place)
        ) WITHOUT ROWID;
        """

    /// The names and columns of the catalogue are those that readers of the former system know. Times are RFC 3339, so that
    /// they read and sort as they are.
    static let version7 = """
        CREATE TABLE aggregator_datasets (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            data_type TEXT NOT NULL,
            source TEXT NOT NULL,
            forecast_date TEXT NOT NULL,
            -- The hour at which the forecast begins.
            forecast_cycle INTEGER NOT NULL,
            valid_time_start TEXT NOT NULL,
            valid_time_end TEXT NOT NULL,
            -- Below the folder of the fields.
            file_path TEXT NOT NULL,
            file_size_bytes INTEGER NOT NULL,
            is_forecast INTEGER NOT NULL,
            created_at TEXT NOT NULL,
            last_accessed_at TEXT,
            -- partial: its run is not whole yet; ready; expired: its file goes, then the row.
            state TEXT NOT NULL
        );
        CREATE INDEX datasets_by_time ON aggregator_datasets
            (data_type, state, valid_time_start, forecast_date, forecast_cycle);
        CREATE INDEX datasets_by_run ON aggregator_datasets (data_type, forecast_date, forecast_cycle);
        CREATE INDEX datasets_unfinished ON aggregator_datasets (state) WHERE state <> 'ready';

        CREATE TABLE aggregator_collection_status (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            collection_id TEXT NOT NULL UNIQUE,
            data_type TEXT NOT NULL,
            -- running, completed, failed
            status TEXT NOT NULL,
            started_at TEXT NOT NULL,
            completed_at TEXT,
            records_collected INTEGER NOT NULL DEFAULT 0,
            error_message TEXT
        );
        CREATE INDEX collections_by_type ON aggregator_collection_status (data_type, status);

        -- What of the catalogue is to be told to a far end; each change has a number of its own, kept until it is told.
        CREATE TABLE catalogue_changes (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            dataset_id TEXT,
            collection_id TEXT
        );

        -- Bytes fetched, by the day in UTC.
        CREATE TABLE forecast_traffic (
            day TEXT PRIMARY KEY NOT NULL,
            bytes INTEGER NOT NULL
        ) WITHOUT ROWID;

        -- Which of its times a scheduled job has last been run for; seconds since 1970.
        CREATE TABLE scheduled_jobs (
            name TEXT PRIMARY KEY NOT NULL,
            last_due_s INTEGER NOT NULL
        ) WITHOUT ROWID;
        """
}
