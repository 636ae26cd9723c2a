import GRDB
import Synchronization

/// How often the program was started, and how often it had not been ended before.
public struct RunCounts: Sendable, Hashable {
    public let starts: Int64
    /// The machine went on, the program did not.
    public let crashes: Int64
    /// The machine was started anew while the program ran: its power was cut, or it hung.
    public let powerCuts: Int64

    /// Nothing is known.
    public static let unknown = RunCounts(starts: 0, crashes: 0, powerCuts: 0)
}

extension Store {
    /// Notes that the program runs now; what it finds running still had no end. For the start, before there are tasks.
    public func beginRunBlocking(bootID: String) throws(StoreError) -> RunCounts {
        do {
            return try pool.write { database in
                try database.execute(
                    sql: """
                        UPDATE runs SET starts = starts + 1, crashes = crashes + (running_boot IS ?1),
                            power_cuts = power_cuts + (running_boot IS NOT NULL AND running_boot IS NOT ?1),
                            running_boot = ?1
                        """, arguments: [bootID])
                guard let row = try Row.fetchOne(database, sql: "SELECT starts, crashes, power_cuts FROM runs") else {
                    throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "runs has no row")
                }
                return RunCounts(starts: row["starts"], crashes: row["crashes"], powerCuts: row["power_cuts"])
            }
        } catch {
            throw StoreError(error)
        }
    }

    /// Returns when a commit has come to its end since the last time; makes one if there was none.
    public func beat() async throws(StoreError) {
        let commits = statistics.commits
        let last = beats.withLock { last in
            defer { last = commits }
            return last
        }
        guard commits == last else { return }
        try await commit([.beat])
    }

    /// Notes that the program has ended as it should.
    public func endRunBlocking() {
        try? pool.write { try $0.execute(sql: "UPDATE runs SET running_boot = NULL") }
    }
}
