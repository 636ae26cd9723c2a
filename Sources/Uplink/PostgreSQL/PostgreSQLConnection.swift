import CPostgreSQL
import Foundation
import TextParts

/// One connection to a PostgreSQL server, used from its own queue alone, where it may wait.
///
/// Memory: `handle` is opened in `connect` and finished in `drop` or `deinit`; it does not leave this object. Every block on the
/// queue retains the object.
@safe final class PostgreSQLConnection: @unchecked Sendable {
    struct Failure: Error, CustomStringConvertible {
        /// SQLSTATE (PostgreSQL documentation, appendix A); empty where the server did not get to say.
        let code: String
        let reason: String

        var description: String { code.isEmpty ? reason : "\(reason) (\(code))" }

        /// Whether somebody must fix a user, a password or a right.
        var isUnauthorised: Bool {
            if code.hasPrefix("28") || code == "42501" { return true }
            // While connecting there is no code, only the server's words.
            return code.isEmpty
                && ["password authentication failed", "no pg_hba.conf entry", "no password supplied", "certificate"]
                    .contains { reason.contains($0) }
        }

        /// Whether the values are at fault: class 22 data exceptions, 23 constraints (but not the duplicate).
        var isData: Bool { code.hasPrefix("22") || (code.hasPrefix("23") && code != "23505") }

        /// Whether a row may be at fault: class 54 limits (an index entry that is too long), P0 errors of a trigger's own, 44 a
        /// view's condition.
        var isRejection: Bool { isData || ["54", "P0", "44"].contains { code.hasPrefix($0) } }

        /// Whether the server as a whole is at fault, or the way to it: no code, or class 08 connection, 25 read-only, 28
        /// authorization, 3D database, 40 rollback, 53 resources, 57 operator intervention, 58 system error. All else is of one table.
        var isOfServer: Bool {
            code.isEmpty || ["08", "25", "28", "3D", "40", "53", "57", "58"].contains { code.hasPrefix($0) }
        }

        /// Whether the table does not exist (42P01).
        var isMissingTable: Bool { code == "42P01" }
    }

    private let url: String
    private var handle: OpaquePointer?
    private let queue = DispatchQueue(label: "postgresql")

    init(url: String) {
        self.url = url
    }

    deinit {
        unsafe PQfinish(handle)
    }

    /// Runs `body` on the connection's queue, connected.
    func use<Value: Sendable>(
        _ body: @escaping @Sendable (PostgreSQLConnection) throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let result: Result<Value, Failure> = await withCheckedContinuation { continuation in
            queue.async { [self] in
                do throws(Failure) {
                    try connect()
                    continuation.resume(returning: .success(try body(self)))
                } catch {
                    // A connection that is gone is made anew the next time.
                    if unsafe PQstatus(handle) != CONNECTION_OK { drop() }
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }

    private func drop() {
        unsafe PQfinish(handle)
        unsafe handle = nil
    }

    /// Memory: libpq copies the names and values during the call; the copies made for it here are freed when this returns.
    private func connect() throws(Failure) {
        if unsafe handle != nil, unsafe PQstatus(handle) == CONNECTION_OK { return }
        drop()
        // What stands in the address wins over these.
        let names = [
            "connect_timeout", "application_name", "tcp_user_timeout", "keepalives_idle", "client_encoding", "dbname",
        ]
        let values = ["15", "edge-aggregator", "60000", "30", "UTF8", url]
        var cNames = unsafe names.map { unsafe UnsafePointer(strdup($0)) }
        var cValues = unsafe values.map { unsafe UnsafePointer(strdup($0)) }
        defer {
            unsafe (cNames + cValues).forEach { unsafe free(UnsafeMutablePointer(mutating: $0)) }
        }
        unsafe cNames.append(nil)
        unsafe cValues.append(nil)
        unsafe handle = PQconnectdbParams(cNames, cValues, 1)
        guard unsafe PQstatus(handle) == CONNECTION_OK else { throw unsafe failure(nil) }
        // Notices ("table exists already") are nobody's business.
        unsafe PQsetNoticeProcessor(handle, { _, _ in }, nil)
        try run("SET synchronous_commit = on")
    }

    // MARK: - On the queue

    /// Memory: the text is borrowed for the call; the result is cleared here, after the failure has been copied from it.
    func run(_ sql: String) throws(Failure) {
        let result = unsafe PQexec(handle, sql)
        defer { unsafe PQclear(result) }
        guard unsafe [PGRES_COMMAND_OK, PGRES_TUPLES_OK].contains(PQresultStatus(result)) else {
            throw unsafe failure(result)
        }
    }

    /// - Parameter values: as text; nil is NULL.
    ///
    /// Memory: the copies of the values are borrowed by libpq for the call and freed when this returns. The result is cleared
    /// here, after the failure has been copied from it.
    func run(_ sql: String, _ values: [String?]) throws(Failure) {
        let pointers = unsafe values.map { value in unsafe value.map { unsafe UnsafePointer(strdup($0)) } ?? nil }
        defer { unsafe pointers.forEach { unsafe free(UnsafeMutablePointer(mutating: $0)) } }
        let result = unsafe PQexecParams(handle, sql, Int32(values.count), nil, pointers, nil, nil, 0)
        defer { unsafe PQclear(result) }
        guard unsafe [PGRES_COMMAND_OK, PGRES_TUPLES_OK].contains(PQresultStatus(result)) else {
            throw unsafe failure(result)
        }
    }

    /// A column of a table.
    struct Column: Sendable, Hashable {
        let name: String
        /// The object identifier of its type (PostgreSQL's `pg_type.dat`): 25 is `text`, 2950 is `uuid`.
        let type: UInt32

        static let text: UInt32 = 25
    }

    /// The columns of a table. Throws a failure that ``Failure/isMissingTable`` where there is none.
    ///
    /// Memory: the names belong to the result and are copied before it is cleared.
    func columns(of table: String) throws(Failure) -> [Column] {
        let result = unsafe PQexec(handle, "SELECT * FROM \(table) LIMIT 0")
        defer { unsafe PQclear(result) }
        guard unsafe PQresultStatus(result) == PGRES_TUPLES_OK else { throw unsafe failure(result) }
        return unsafe (0..<PQnfields(result)).compactMap { index in
            unsafe PQfname(result, index).map { name in
                unsafe Column(name: String(cString: name), type: PQftype(result, index))
            }
        }
    }

    /// The rows of a query, as text; nil is NULL.
    ///
    /// Memory: the values belong to the result and are copied before it is cleared.
    func rows(_ sql: String) throws(Failure) -> [[String?]] {
        let result = unsafe PQexec(handle, sql)
        defer { unsafe PQclear(result) }
        guard unsafe PQresultStatus(result) == PGRES_TUPLES_OK else { throw unsafe failure(result) }
        return unsafe (0..<PQntuples(result)).map { row in
            unsafe (0..<PQnfields(result)).map { column in
                guard unsafe PQgetisnull(result, row, column) == 0, let text = unsafe PQgetvalue(result, row, column)
                else { return nil }
                return unsafe String(cString: text)
            }
        }
    }

    /// Sends rows in the text form of COPY.
    ///
    /// Memory: libpq copies or sends the rows during the call. Each result is cleared here, after the failure has been copied
    /// from it.
    func copy(_ sql: String, _ text: [UInt8]) throws(Failure) {
        let begun = unsafe PQexec(handle, sql)
        defer { unsafe PQclear(begun) }
        guard unsafe PQresultStatus(begun) == PGRES_COPY_IN else { throw unsafe failure(begun) }
        let isSent = unsafe text.withUnsafeBytes { bytes in
            unsafe bytes.withMemoryRebound(to: CChar.self) {
                unsafe PQputCopyData(handle, $0.baseAddress, Int32($0.count)) == 1
            }
        }
        guard isSent, unsafe PQputCopyEnd(handle, nil) == 1 else { throw unsafe failure(nil) }
        var failed: Failure?
        while let result = unsafe PQgetResult(handle) {
            if unsafe PQresultStatus(result) != PGRES_COMMAND_OK, failed == nil { failed = unsafe failure(result) }
            unsafe PQclear(result)
        }
        if let failed { throw failed }
    }

    /// Runs `body` in a transaction, which is rolled back if it throws.
    func transaction(_ body: () throws(Failure) -> Void) throws(Failure) {
        try run("BEGIN")
        do throws(Failure) {
            try body()
            try run("COMMIT")
        } catch {
            // Also where the server is to blame: the next who uses the connection must not find it so.
            try? run("ROLLBACK")
            throw error
        }
    }

    /// Memory: the caller owns `result` and clears it later. The code belongs to it, and the message to the connection until its
    /// next call; both are copied here.
    private func failure(_ result: OpaquePointer?) -> Failure {
        let code =
            unsafe result.flatMap { unsafe PQresultErrorField($0, Int32(UInt8(ascii: "C"))) }.map {
                unsafe String(cString: $0)
            } ?? ""
        let text = unsafe String(cString: PQerrorMessage(handle))
        let reason = text.lines().joined(separator: " ").hidingPasswords
        return Failure(code: code, reason: reason.isEmpty ? "the server gave no reason" : reason)
    }
}
