import CSQLite
import TextParts

/// A SQLite file of somebody else's, opened so that it cannot do harm whatever is in it.
///
/// Read only, immutable (nothing is made beside it), no schema of its own is trusted, no functions, views, triggers or
/// attached files, only the columns named here are read (never `users`), and a ``DatabaseBudget`` of steps and of processor
/// time. What is torn gives the rows before the damage.
///
/// Memory: `handle` is opened in `init` and closed in `deinit`; it does not leave the class. Statements are finalized before the
/// method that prepares them returns. SQLite copies texts of SQL.
@safe public final class GuardedDatabase {
    public struct Failure: Error, CustomStringConvertible, Equatable {
        public let description: String
        /// Whether the system, not the file, is at fault: a later attempt may succeed.
        public let isOfTheMoment: Bool

        public init(description: String, isOfTheMoment: Bool) {
            self.description = description
            self.isOfTheMoment = isOfTheMoment
        }
    }

    /// What became of a table.
    public enum Outcome: Equatable, Sendable {
        case whole
        case missing
        /// Damaged, or over its budget; rows before that were handed out.
        case broken(reason: String)
        /// The system refused to read on; a later attempt may succeed. Rows before that were handed out.
        case unreadable(reason: String)
    }

    private let handle: OpaquePointer
    private let budget: DatabaseBudget

    /// Longest text or blob that is read.
    private static let longestValueBytes: Int32 = 1 << 20

    /// - Parameters:
    ///   - path: of the file; it must not change while it is open.
    ///   - bytes: its size, which sets the budget.
    ///   - isCancelled: asked many times a second of work; true ends it, and the file counts as unreadable.
    public convenience init(
        path: String, bytes: Int64, isCancelled: @escaping () -> Bool = { false }
    ) throws(Failure) {
        try self.init(path: path, budget: DatabaseBudget(bytes: bytes, isCancelled: isCancelled))
    }

    init(path: String, budget: DatabaseBudget) throws(Failure) {
        guard sqlite3_threadsafe() != 0 else {
            throw Failure(description: "SQLite was built without threads", isOfTheMoment: false)
        }
        var opened: OpaquePointer?
        // `?`, `#` and `%` would be taken for parts of the address.
        let escaped = path.replacingText("%", with: "%25").replacingText("?", with: "%3f").replacingText(
            "#", with: "%23")
        let flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_PRIVATECACHE
        let result = unsafe sqlite3_open_v2("file:\(escaped)?mode=ro&immutable=1", &opened, flags, nil)
        guard let opened = unsafe opened, result == SQLITE_OK else {
            unsafe sqlite3_close(opened)
            throw Failure(description: "it cannot be opened", isOfTheMoment: true)
        }
        unsafe handle = opened
        self.budget = budget
        // Before the first statement: some pragmas read the whole schema, whose texts are parsed one by one.
        // Memory: SQLite keeps the address of `budget`, which this object holds until after `deinit` has closed the database.
        unsafe sqlite3_progress_handler(
            handle, Int32(DatabaseBudget.stepsPerCheck),
            { context in
                guard let context = unsafe context else { return 1 }
                return unsafe Unmanaged<DatabaseBudget>.fromOpaque(context).takeUnretainedValue().mayGoOn() ? 0 : 1
            }, Unmanaged.passUnretained(budget).toOpaque())
        unsafe sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, Self.longestValueBytes)
        unsafe sqlite3_limit(handle, SQLITE_LIMIT_SQL_LENGTH, 65_536)
        unsafe sqlite3_limit(handle, SQLITE_LIMIT_EXPR_DEPTH, 16)
        unsafe sqlite3_limit(handle, SQLITE_LIMIT_COMPOUND_SELECT, 2)
        unsafe sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0)
        unsafe sqlite3_limit(handle, SQLITE_LIMIT_TRIGGER_DEPTH, 1)
        unsafe sqlite3_limit(handle, SQLITE_LIMIT_WORKER_THREADS, 0)
        for (option, value) in [
            (SQLITE_DBCONFIG_DEFENSIVE, 1), (SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0), (SQLITE_DBCONFIG_ENABLE_VIEW, 0),
            (SQLITE_DBCONFIG_ENABLE_TRIGGER, 0), (SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0),
        ] as [(Int32, Int32)] {
            unsafe edge_sqlite_set_flag(handle, option, value)
        }
        for pragma in ["cell_size_check = ON", "mmap_size = 0", "cache_size = -256", "query_only = ON"] {
            unsafe sqlite3_exec(handle, "PRAGMA \(pragma)", nil, nil, nil)
        }
        // A column that is computed may cost a great deal for each row, and counts as one step.
        for table in Self.tables where unsafe Self.hasComputedColumns(table, handle) { computed.insert(table) }
        // Memory: SQLite owns the names, until the callback returns; they are copied.
        unsafe sqlite3_set_authorizer(
            handle,
            { _, action, table, _, _, _ in
                guard action == SQLITE_READ else { return action == SQLITE_SELECT ? SQLITE_OK : SQLITE_DENY }
                let name = unsafe table.map { unsafe String(cString: $0) } ?? ""
                return GuardedDatabase.readable.contains(name) ? SQLITE_OK : SQLITE_DENY
            }, nil)
        // The header is read with the first question. When it throws, `deinit` closes the database, as all properties are set.
        _ = try isTable("health_records")
    }

    deinit { unsafe sqlite3_close(handle) }

    private static let tables: Set<String> = ["health_records", "ap_cache", "measurement"]
    private static let readable = tables.union(["sqlite_master", "sqlite_schema"])
    private var computed: Set<String> = []

    private static func hasComputedColumns(_ table: String, _ handle: OpaquePointer) -> Bool {
        var statement: OpaquePointer?
        guard unsafe sqlite3_prepare_v2(handle, "PRAGMA table_xinfo(\(table))", -1, &statement, nil) == SQLITE_OK
        else {
            return false
        }
        defer { unsafe sqlite3_finalize(statement) }
        while unsafe sqlite3_step(statement) == SQLITE_ROW {
            // 2 and 3 are generated columns (SQLite, "PRAGMA table_xinfo").
            if unsafe sqlite3_column_int(statement, 6) > 1 { return true }
        }
        return false
    }

    /// - Throws: ``Failure`` for a file that is no database.
    private func isTable(_ name: String) throws(Failure) -> Bool {
        var statement: OpaquePointer?
        // A virtual table has no pages of its own.
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '\(name)' AND rootpage > 0"
        guard unsafe sqlite3_prepare_v2(handle, sql, -1, &statement, nil) == SQLITE_OK, let statement = unsafe statement
        else {
            throw failure
        }
        defer { unsafe sqlite3_finalize(statement) }
        switch unsafe sqlite3_step(statement) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default: throw failure
        }
    }

    /// Memory: SQLite owns the text, until the next call with this handle; it is copied before.
    private var reason: String { unsafe String(cString: sqlite3_errmsg(handle)) }

    private var failure: Failure {
        if let end = budget.end { return Failure(description: end.rawValue, isOfTheMoment: end == .cancelled) }
        return Failure(description: reason, isOfTheMoment: isOfTheMoment)
    }

    /// Whether the last call failed for what may be otherwise later.
    private var isOfTheMoment: Bool {
        unsafe [SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_NOMEM, SQLITE_PERM, SQLITE_BUSY].contains(sqlite3_errcode(handle))
    }

    private var outcomeOfFailure: Outcome {
        if let end = budget.end {
            return end == .cancelled ? .unreadable(reason: end.rawValue) : .broken(reason: end.rawValue)
        }
        return isOfTheMoment ? .unreadable(reason: reason) : .broken(reason: reason)
    }

    /// Hands out the rows of a table; `columns` are names, separated by commas.
    ///
    /// Memory: `body` borrows the statement until it returns.
    func read(_ table: String, _ columns: String, _ body: (OpaquePointer) -> Void) -> Outcome {
        do throws(Failure) {
            guard try isTable(table) else { return .missing }
            guard !computed.contains(table) else { return .broken(reason: "\(table) has computed columns") }
        } catch {
            return error.isOfTheMoment ? .unreadable(reason: error.description) : .broken(reason: error.description)
        }
        var statement: OpaquePointer?
        guard
            unsafe sqlite3_prepare_v2(handle, "SELECT \(columns) FROM \(table) NOT INDEXED", -1, &statement, nil)
                == SQLITE_OK,
            let statement = unsafe statement
        else { return outcomeOfFailure }
        defer { unsafe sqlite3_finalize(statement) }
        while true {
            switch unsafe sqlite3_step(statement) {
            case SQLITE_ROW: unsafe body(statement)
            case SQLITE_DONE: return .whole
            default: return outcomeOfFailure
            }
        }
    }

    /// Memory: the statement owns the text until its next step; it is copied before.
    static func text(_ row: OpaquePointer, _ column: Int32) -> String? {
        guard unsafe sqlite3_column_type(row, column) == SQLITE_TEXT, let text = unsafe sqlite3_column_text(row, column)
        else {
            return nil
        }
        let count = unsafe min(Int(sqlite3_column_bytes(row, column)), 256)
        return unsafe String(decoding: UnsafeBufferPointer(start: text, count: count), as: UTF8.self)
    }

    /// Nil for what is no number.
    ///
    /// Memory: the caller owns the statement.
    static func number(_ row: OpaquePointer, _ column: Int32) -> Double? {
        switch unsafe sqlite3_column_type(row, column) {
        case SQLITE_INTEGER, SQLITE_FLOAT: unsafe sqlite3_column_double(row, column)
        default: nil
        }
    }
}
