import CSQLite
import GRDB

/// A statement whose values are bound by SQLite's own functions: where tens of thousands of rows a second are written, boxing each
/// value would cost more than SQLite does.
///
/// Memory: the statement behind `handle` belongs to ``use(_:_:_:)``, which holds it until `body` has returned; rows must not leave
/// `body`. SQLite copies every value that is bound.
@safe struct FastRows {
    private let handle: OpaquePointer

    /// SQLite takes a copy.
    private static var transient: sqlite3_destructor_type { unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self) }

    /// Hands out the statement, ready to be bound, and cleans it up afterwards.
    static func use<Result>(_ sql: String, _ database: Database, _ body: (FastRows) throws -> Result) throws -> Result {
        let statement = try database.cachedStatement(sql: sql)
        let handle = unsafe statement.sqliteStatement
        defer {
            unsafe sqlite3_reset(handle)
            unsafe sqlite3_clear_bindings(handle)
            withExtendedLifetime(statement) {}
        }
        return try unsafe body(FastRows(handle: handle))
    }

    func bind(_ place: Int32, _ value: Int64?) {
        if let value {
            unsafe sqlite3_bind_int64(handle, place, value)
        } else {
            unsafe sqlite3_bind_null(handle, place)
        }
    }

    func bind(_ place: Int32, _ value: Double?) {
        if let value {
            unsafe sqlite3_bind_double(handle, place, value)
        } else {
            unsafe sqlite3_bind_null(handle, place)
        }
    }

    func bind(_ place: Int32, _ text: String?) {
        guard var text else {
            unsafe sqlite3_bind_null(handle, place)
            return
        }
        text.withUTF8 { utf8 in
            _ = unsafe utf8.withMemoryRebound(to: CChar.self) {
                unsafe sqlite3_bind_text(handle, place, $0.baseAddress, Int32($0.count), Self.transient)
            }
        }
    }

    func bind(_ place: Int32, bytes: UnsafeRawBufferPointer) {
        unsafe sqlite3_bind_blob(handle, place, bytes.baseAddress, Int32(bytes.count), Self.transient)
    }

    /// Writes the row; false when it was there already.
    func write() throws -> Bool {
        let result = unsafe sqlite3_step(handle)
        let database = unsafe sqlite3_db_handle(handle)
        guard result == SQLITE_DONE else {
            throw unsafe DatabaseError(
                resultCode: ResultCode(rawValue: result),
                message: sqlite3_errmsg(database).map { unsafe String(cString: $0) })
        }
        unsafe sqlite3_reset(handle)
        return unsafe sqlite3_changes(database) > 0
    }
}
