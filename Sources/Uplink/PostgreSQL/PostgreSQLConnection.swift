import CPostgreSQL
import Foundation

/// One connection to a PostgreSQL server, used from its own queue alone, where it may wait.
final class PostgreSQLConnection: @unchecked Sendable {
    struct Failure: Error, CustomStringConvertible {
        /// SQLSTATE (PostgreSQL documentation, appendix A); empty where the server did not get to say.
        let code: String
        let reason: String

        var description: String { code.isEmpty ? reason : "\(reason) (\(code))" }

        /// Whether somebody must mend a user, a password or a right.
        var isUnauthorised: Bool {
            if code.hasPrefix("28") || code == "42501" { return true }
            // While connecting there is no code, only the server's words.
            return code.isEmpty
                && ["password authentication failed", "no pg_hba.conf entry", "no password supplied", "certificate"]
                    .contains { reason.contains($0) }
        }

        /// Whether the values are to blame: class 22 data exceptions, 23 constraints (but not the double).
        var isData: Bool { code.hasPrefix("22") || (code.hasPrefix("23") && code != "23505") }
    }

    private let url: String
    private var handle: OpaquePointer?
    private let queue = DispatchQueue(label: "postgresql")

    init(url: String) {
        self.url = url
    }

    deinit {
        PQfinish(handle)
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
                    if PQstatus(handle) != CONNECTION_OK { drop() }
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }

    private func drop() {
        PQfinish(handle)
        handle = nil
    }

    private func connect() throws(Failure) {
        if handle != nil, PQstatus(handle) == CONNECTION_OK { return }
        drop()
        // What stands in the address wins over these.
        let names = [
            "connect_timeout", "application_name", "tcp_user_timeout", "keepalives_idle", "client_encoding", "dbname",
        ]
        let values = ["15", "edge-aggregator", "60000", "30", "UTF8", url]
        var cNames = names.map { UnsafePointer(strdup($0)) }
        var cValues = values.map { UnsafePointer(strdup($0)) }
        defer {
            for pointer in cNames + cValues { free(UnsafeMutablePointer(mutating: pointer)) }
        }
        cNames.append(nil)
        cValues.append(nil)
        handle = PQconnectdbParams(cNames, cValues, 1)
        guard PQstatus(handle) == CONNECTION_OK else { throw failure(nil) }
        // Notices ("table exists already") are nobody's business.
        PQsetNoticeProcessor(handle, { _, _ in }, nil)
        try run("SET synchronous_commit = on")
    }

    // MARK: - On the queue

    func run(_ sql: String) throws(Failure) {
        let result = PQexec(handle, sql)
        defer { PQclear(result) }
        guard [PGRES_COMMAND_OK, PGRES_TUPLES_OK].contains(PQresultStatus(result)) else { throw failure(result) }
    }

    /// - Parameter values: as text; nil is NULL.
    func run(_ sql: String, _ values: [String?]) throws(Failure) {
        let pointers = values.map { value in value.map { UnsafePointer(strdup($0)) } ?? nil }
        defer { for pointer in pointers { free(UnsafeMutablePointer(mutating: pointer)) } }
        let result = PQexecParams(handle, sql, Int32(values.count), nil, pointers, nil, nil, 0)
        defer { PQclear(result) }
        guard [PGRES_COMMAND_OK, PGRES_TUPLES_OK].contains(PQresultStatus(result)) else { throw failure(result) }
    }

    func number(_ sql: String) throws(Failure) -> Int? {
        let result = PQexec(handle, sql)
        defer { PQclear(result) }
        guard PQresultStatus(result) == PGRES_TUPLES_OK else { throw failure(result) }
        guard PQntuples(result) > 0, let text = PQgetvalue(result, 0, 0) else { return nil }
        return Int(String(cString: text))
    }

    /// Sends rows in the text form of COPY.
    func copy(_ sql: String, _ text: [UInt8]) throws(Failure) {
        let begun = PQexec(handle, sql)
        defer { PQclear(begun) }
        guard PQresultStatus(begun) == PGRES_COPY_IN else { throw failure(begun) }
        let isSent = text.withUnsafeBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) { PQputCopyData(handle, $0.baseAddress, Int32($0.count)) == 1 }
        }
        guard isSent, PQputCopyEnd(handle, nil) == 1 else { throw failure(nil) }
        var failed: Failure?
        while let result = PQgetResult(handle) {
            if PQresultStatus(result) != PGRES_COMMAND_OK, failed == nil { failed = failure(result) }
            PQclear(result)
        }
        if let failed { throw failed }
    }

    private func failure(_ result: OpaquePointer?) -> Failure {
        let code = result.flatMap { PQresultErrorField($0, Int32(UInt8(ascii: "C"))) }.map { String(cString: $0) } ?? ""
        let text = String(cString: PQerrorMessage(handle))
        let reason = text.split(whereSeparator: \.isNewline).joined(separator: " ")
        return Failure(code: code, reason: reason.isEmpty ? "the server gave no reason" : reason)
    }
}
