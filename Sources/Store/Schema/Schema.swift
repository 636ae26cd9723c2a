import GRDB

/// The tables, and how older databases become newer ones. Steps are only ever added.
enum Schema {
    /// The schema's number: how many steps it has.
    static var level: Int { migrator.migrations.count }
    /// The lowest level whose program can still work with this schema. A step that only adds what older programs pass over
    /// leaves it; one that changes what they read or write raises it to its own number.
    static let leastReader = 7

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 listeners, recordings, detections, ledger") { database in
            try database.execute(sql: version1)
        }
        migrator.registerMigration("2 deliveries") { database in
            try database.execute(sql: version2)
        }
        migrator.registerMigration("3 metrics") { database in
            try database.execute(sql: version3)
        }
        migrator.registerMigration("4 observations, counts of deliveries") { database in
            try database.execute(sql: version4)
        }
        migrator.registerMigration("5 runs") { database in
            try database.execute(sql: version5)
        }
        migrator.registerMigration("6 nodes") { database in
            try database.execute(sql: version6)
        }
        migrator.registerMigration("7 forecasts") { database in
            try database.execute(sql: version7)
        }
        migrator.registerMigration("8 clocks of the ledger") { database in
            try database.execute(sql: version8)
        }
        return migrator
    }

    /// Times are UTC nanoseconds. Names are for ever: rows of deleted recordings stay.
    private static let version1 = """
        CREATE TABLE listeners (
            id TEXT PRIMARY KEY NOT NULL,
            first_seen_ns INTEGER NOT NULL,
            last_seen_ns INTEGER NOT NULL,
            remote_address TEXT NOT NULL DEFAULT ''
        ) WITHOUT ROWID;

        CREATE TABLE sessions (
            id TEXT PRIMARY KEY NOT NULL,
            listener_id TEXT NOT NULL,
            boot_id TEXT NOT NULL,
            counter INTEGER NOT NULL,
            opened_ns INTEGER NOT NULL,
            monotonic_ns INTEGER NOT NULL,
            remote_address TEXT NOT NULL,
            source TEXT NOT NULL,
            closed_ns INTEGER,
            close_reason TEXT,
            frames_received INTEGER NOT NULL DEFAULT 0,
            bytes_received INTEGER NOT NULL DEFAULT 0,
            frames_duplicate INTEGER NOT NULL DEFAULT 0,
            frames_old INTEGER NOT NULL DEFAULT 0,
            frames_missing INTEGER NOT NULL DEFAULT 0,
            frames_realigned INTEGER NOT NULL DEFAULT 0,
            metadata_frames INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID;
        CREATE INDEX sessions_by_listener ON sessions (listener_id, opened_ns);
        CREATE INDEX sessions_open ON sessions (id) WHERE closed_ns IS NULL;
        CREATE INDEX sessions_by_boot ON sessions (boot_id, counter);

        CREATE TABLE recordings (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            listener_id TEXT NOT NULL,
            session_id TEXT,
            run INTEGER NOT NULL,
            run_offset_frames INTEGER NOT NULL,
            relative_path TEXT NOT NULL,
            state TEXT NOT NULL,
            start_ns INTEGER NOT NULL,
            time_quality TEXT NOT NULL,
            boot_id TEXT NOT NULL,
            monotonic_ns INTEGER NOT NULL,
            source TEXT NOT NULL,
            container TEXT NOT NULL,
            encoding TEXT NOT NULL,
            channels INTEGER NOT NULL,
            sample_rate INTEGER NOT NULL,
            frames INTEGER NOT NULL DEFAULT 0,
            duration_ns INTEGER NOT NULL DEFAULT 0,
            filled_ns INTEGER NOT NULL DEFAULT 0,
            bytes INTEGER NOT NULL DEFAULT 0,
            closed_ns INTEGER,
            analysis TEXT NOT NULL,
            analysis_error TEXT,
            windows INTEGER NOT NULL DEFAULT 0,
            privacy_ns INTEGER NOT NULL DEFAULT 0,
            deleted_ns INTEGER,
            delete_reason TEXT
        );
        CREATE INDEX recordings_by_listener ON recordings (listener_id, start_ns);
        CREATE INDEX recordings_by_start ON recordings (start_ns);
        CREATE INDEX recordings_by_run ON recordings (session_id, run, run_offset_frames);
        CREATE INDEX recordings_open ON recordings (name) WHERE state = 'open';
        CREATE INDEX recordings_waiting ON recordings (listener_id, start_ns)
            WHERE analysis = 'pending' AND state = 'closed';

        CREATE TABLE models (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            model_sha256 TEXT NOT NULL,
            library_version TEXT NOT NULL,
            library_sha256 TEXT NOT NULL,
            UNIQUE (name, model_sha256, library_version, library_sha256)
        );

        CREATE TABLE detections (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            listener_id TEXT NOT NULL,
            recording_name TEXT NOT NULL,
            session_id TEXT,
            run INTEGER NOT NULL,
            start_ns INTEGER NOT NULL,
            end_ns INTEGER NOT NULL,
            offset_seconds REAL NOT NULL,
            scientific_name TEXT NOT NULL,
            common_name TEXT NOT NULL,
            label TEXT NOT NULL,
            confidence REAL NOT NULL,
            model_id INTEGER NOT NULL REFERENCES models (id),
            time_quality TEXT NOT NULL,
            UNIQUE (listener_id, start_ns, scientific_name, model_id)
        );
        CREATE INDEX detections_by_start ON detections (start_ns);
        CREATE INDEX detections_by_recording ON detections (recording_name);
        CREATE INDEX detections_by_run ON detections (session_id, run);

        CREATE TABLE ledger (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            listener_id TEXT NOT NULL,
            session_id TEXT,
            run INTEGER,
            recording_name TEXT,
            kind TEXT NOT NULL,
            reason TEXT NOT NULL,
            start_ns INTEGER NOT NULL,
            duration_ns INTEGER NOT NULL,
            frames INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            noted_ns INTEGER NOT NULL
        );
        CREATE UNIQUE INDEX ledger_identity
            ON ledger (listener_id, ifnull(session_id, ''), kind, reason, start_ns, ifnull(recording_name, ''));
        CREATE INDEX ledger_by_start ON ledger (listener_id, start_ns);
        CREATE INDEX ledger_by_run ON ledger (session_id, run);
        """

    /// The outbox. A row refers to its facts by their numbers, and is deleted when it is done.
    private static let version2 = """
        -- Whether the times of a run that came faster than real time have been moved to where they belong.
        ALTER TABLE recordings ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE recordings ADD COLUMN analysed_ns INTEGER;
        -- When the file was first known to be at a far end.
        ALTER TABLE recordings ADD COLUMN uploaded_ns INTEGER;

        CREATE TABLE deliveries (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            sink TEXT NOT NULL,
            kind TEXT NOT NULL,
            rank INTEGER NOT NULL,
            first_id INTEGER NOT NULL,
            last_id INTEGER NOT NULL,
            state TEXT NOT NULL,
            hold TEXT,
            attempts INTEGER NOT NULL DEFAULT 0,
            next_ns INTEGER NOT NULL DEFAULT 0,
            created_ns INTEGER NOT NULL,
            error TEXT,
            bytes INTEGER NOT NULL DEFAULT 0
        );
        CREATE UNIQUE INDEX deliveries_of_fact ON deliveries (kind, first_id, sink);
        CREATE INDEX deliveries_due ON deliveries (sink, state, rank, id);
        CREATE INDEX deliveries_of_kind ON deliveries (kind);
        CREATE INDEX deliveries_held ON deliveries (hold) WHERE hold IS NOT NULL;

        CREATE TABLE delivery_totals (
            sink TEXT NOT NULL,
            kind TEXT NOT NULL,
            done INTEGER NOT NULL DEFAULT 0,
            refused INTEGER NOT NULL DEFAULT 0,
            shed INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (sink, kind)
        ) WITHOUT ROWID;

        -- Where a large upload stands, so that a restart goes on with it.
        CREATE TABLE multipart_uploads (
            delivery_id INTEGER PRIMARY KEY NOT NULL,
            location TEXT NOT NULL,
            upload_id TEXT NOT NULL,
            part_bytes INTEGER NOT NULL,
            parts TEXT NOT NULL,
            begun_ns INTEGER NOT NULL
        );
        """

    /// Metrics that wait to be delivered, with their own times.
    private static let version3 = """
        CREATE TABLE metric_batches (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            time_ns INTEGER NOT NULL,
            payload BLOB NOT NULL
        );
        """

    /// Observations, by series; and how much waits, kept by triggers, since counting millions of rows takes seconds.
    ///
    /// Within a trigger only plain forms are used: the conflict rule of the outer statement goes for the inner ones too.
    private static let version4 = """
        CREATE TABLE boots (
            id INTEGER PRIMARY KEY,
            boot_id TEXT NOT NULL UNIQUE
        );

        CREATE TABLE series (
            id INTEGER PRIMARY KEY,
            source TEXT NOT NULL,
            quantity TEXT NOT NULL,
            unit TEXT NOT NULL,
            UNIQUE (source, quantity)
        );

        CREATE TABLE observations (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            series_id INTEGER NOT NULL REFERENCES series (id),
            time_ns INTEGER NOT NULL,
            value REAL NOT NULL,
            -- As measured, where a correction was made.
            raw REAL,
            time_quality TEXT NOT NULL,
            boot INTEGER NOT NULL REFERENCES boots (id),
            monotonic_ns INTEGER NOT NULL
        );
        CREATE UNIQUE INDEX observations_identity ON observations (series_id, time_ns);
        CREATE INDEX observations_unset ON observations (boot) WHERE time_quality = 'unsynchronised';

        -- What a clock that was not set has stamped, and by which offset from the steady clock, so that it can be corrected.
        ALTER TABLE ledger ADD COLUMN unset_boot INTEGER REFERENCES boots (id);
        ALTER TABLE ledger ADD COLUMN unset_offset_ns INTEGER;
        CREATE INDEX ledger_unset ON ledger (unset_boot) WHERE unset_boot IS NOT NULL;
        ALTER TABLE metric_batches ADD COLUMN unset_boot INTEGER REFERENCES boots (id);
        ALTER TABLE metric_batches ADD COLUMN unset_offset_ns INTEGER;
        CREATE INDEX metric_batches_unset ON metric_batches (unset_boot) WHERE unset_boot IS NOT NULL;
        CREATE INDEX recordings_unset ON recordings (boot_id) WHERE time_quality = 'unsynchronised';

        -- What an upload must know of a file before it sends it; gone with the delivery.
        CREATE TABLE seals (
            recording_id INTEGER PRIMARY KEY NOT NULL,
            text TEXT NOT NULL
        );

        UPDATE deliveries SET rank = CASE kind WHEN 'detections' THEN 0 WHEN 'coverage' THEN 1 WHEN 'observations' THEN 2
            WHEN 'analysis' THEN 3 WHEN 'upload' THEN 4 WHEN 'metrics' THEN 5 ELSE 6 END;

        CREATE TABLE delivery_counts (
            sink TEXT NOT NULL,
            kind TEXT NOT NULL,
            state TEXT NOT NULL,
            rank INTEGER NOT NULL,
            deliveries INTEGER NOT NULL,
            facts INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            PRIMARY KEY (sink, kind, state)
        ) WITHOUT ROWID;
        \(countDeliveries)

        CREATE TRIGGER deliveries_added AFTER INSERT ON deliveries BEGIN
            INSERT OR IGNORE INTO delivery_counts VALUES (NEW.sink, NEW.kind, NEW.state, NEW.rank, 0, 0, 0);
            UPDATE delivery_counts SET deliveries = deliveries + 1, facts = facts + NEW.last_id - NEW.first_id + 1,
                bytes = bytes + NEW.bytes
            WHERE sink = NEW.sink AND kind = NEW.kind AND state = NEW.state;
        END;
        CREATE TRIGGER deliveries_removed AFTER DELETE ON deliveries BEGIN
            UPDATE delivery_counts SET deliveries = deliveries - 1, facts = facts - (OLD.last_id - OLD.first_id + 1),
                bytes = bytes - OLD.bytes
            WHERE sink = OLD.sink AND kind = OLD.kind AND state = OLD.state;
        END;
        CREATE TRIGGER deliveries_moved AFTER UPDATE OF state, first_id, last_id ON deliveries BEGIN
            UPDATE delivery_counts SET deliveries = deliveries - 1, facts = facts - (OLD.last_id - OLD.first_id + 1),
                bytes = bytes - OLD.bytes
            WHERE sink = OLD.sink AND kind = OLD.kind AND state = OLD.state;
            INSERT OR IGNORE INTO delivery_counts VALUES (NEW.sink, NEW.kind, NEW.state, NEW.rank, 0, 0, 0);
            UPDATE delivery_counts SET deliveries = deliveries + 1, facts = facts + NEW.last_id - NEW.first_id + 1,
                bytes = bytes + NEW.bytes
            WHERE sink = NEW.sink AND kind = NEW.kind AND state = NEW.state;
        END;
        """

    /// One row: how often the program was started and was not ended, and whether it runs.
    private static let version5 = """
        CREATE TABLE runs (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            starts INTEGER NOT NULL,
            crashes INTEGER NOT NULL,
            power_cuts INTEGER NOT NULL,
            running_boot TEXT
        );
        \(firstRuns)
        """

    /// The row of `runs`, before the first start.
    static let firstRuns = "INSERT OR IGNORE INTO runs VALUES (1, 0, 0, 0, NULL);"

    /// Older programs leave these columns empty; coverage then takes the clock by which the session was opened.
    private static let version8 = """
        -- The clock's offset from the steady clock by which start_ns was made. A session is counted on the steady clock, so that
        -- steps of the clock are no sound and no silence.
        ALTER TABLE ledger ADD COLUMN offset_ns INTEGER;
        -- The moment at which the line ends, if that is another boot's and its clock was not set: the length is corrected then.
        ALTER TABLE ledger ADD COLUMN end_boot INTEGER REFERENCES boots (id);
        ALTER TABLE ledger ADD COLUMN end_monotonic_ns INTEGER;
        CREATE INDEX ledger_unset_ends ON ledger (end_boot) WHERE end_boot IS NOT NULL;

        -- Whether its times are settled later, whatever its clock is.
        ALTER TABLE recordings ADD COLUMN guessed INTEGER NOT NULL DEFAULT 0;
        -- The clock's offset from the steady clock by which its file is written now, if the clock was stepped since its start.
        ALTER TABLE recordings ADD COLUMN file_offset_ns INTEGER;
        """

    /// Counts all deliveries from the beginning.
    static let countDeliveries = """
        DELETE FROM delivery_counts;
        INSERT INTO delivery_counts
            SELECT sink, kind, state, rank, count(*), sum(last_id - first_id + 1), sum(bytes)
            FROM deliveries GROUP BY sink, kind, state;
        """

    /// Brings a database to this program's level.
    ///
    /// - Throws: `SQLITE_CORRUPT` also when a step does not fit the tables that it finds: then they are not what their steps made.
    static func migrate(_ database: any DatabaseWriter) throws {
        do {
            try migrator.migrate(database)
        } catch let error as DatabaseError where error.resultCode == .SQLITE_ERROR {
            throw DatabaseError(
                resultCode: .SQLITE_CORRUPT,
                message: "the tables are not those of the steps that they say they went through: \(error)")
        }
    }
}
