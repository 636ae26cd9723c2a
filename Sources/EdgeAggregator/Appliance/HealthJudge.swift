import Foundation
import Logging
import Store

/// Says, by what has failed and for how long, when the database is to be examined and when the daemon must end.
struct HealthJudge {
    enum Action: Equatable {
        case nothing
        case examine
        case end(CannotContinue.Kind, reason: String)
    }

    /// What an examination found.
    struct Found: Sendable, Equatable {
        enum Result: Sendable, Equatable {
            case whole
            case damaged(String)
            /// The database could not be looked at.
            case unknown
        }

        let began: ContinuousClock.Instant
        let result: Result
    }

    /// Attempts over at least this time, none of which succeeded, are no accident.
    static let attempts = 3
    static let span = Duration.seconds(5)
    /// A disk that refuses everything for so long: a new start may find it well.
    static let longestRefusal = Duration.seconds(300)
    /// Examinations that find nothing while damage is met again and again.
    static let mostExaminations = 5
    static let examinationsWithin = Duration.seconds(600)

    private var isExamining = false
    private var lastBegan: ContinuousClock.Instant?
    /// Examinations in a row that found damage.
    private var damaged = 0
    private var lastDamage = ""
    /// When examinations found nothing.
    private var whole: [ContinuousClock.Instant] = []

    mutating func take(_ found: Found, of outcomes: StoreOutcomes) {
        isExamining = false
        switch found.result {
        case .whole:
            damaged = 0
            whole.append(found.began)
            outcomes.foundWhole(since: found.began)
        case .damaged(let reason):
            damaged += 1
            lastDamage = reason
        case .unknown: break
        }
    }

    mutating func next(_ snapshot: StoreOutcomes.Snapshot, now: ContinuousClock.Instant) -> Action {
        for trouble in snapshot.troubles where trouble.attempts >= Self.attempts {
            if trouble.cause == .moved { return .end(.moved, reason: trouble.reason) }
            if trouble.cause == .damage, trouble.last - trouble.first >= Self.span {
                return .end(.damage, reason: trouble.reason)
            }
            if trouble.cause == .disk, trouble.isOfDatabase, now - trouble.first >= Self.longestRefusal,
                (snapshot.lastSuccess ?? trouble.first) <= trouble.first
            {
                return .end(.disk, reason: trouble.reason)
            }
        }
        if damaged >= 2 { return .end(.damage, reason: lastDamage) }
        let doubtful = snapshot.troubles.filter { [.damage, .unclear].contains($0.cause) }
        whole.removeAll { now - $0 > Self.examinationsWithin }
        if whole.count >= Self.mostExaminations, let trouble = doubtful.first(where: { $0.cause == .damage }) {
            return .end(.damage, reason: trouble.reason)
        }
        guard !isExamining, !doubtful.isEmpty || damaged > 0, now - (lastBegan ?? now - Self.span) >= Self.span else {
            return .nothing
        }
        isExamining = true
        lastBegan = now
        return .examine
    }
}

extension StoreOutcomes.Trouble {
    fileprivate var isOfDatabase: Bool {
        switch work {
        case .change, .transaction, .reading, .query, .place: true
        case .folder, .sound: false
        }
    }
}

/// The daemon ends itself: the next start can repair what this run cannot.
struct CannotContinue: Error, CustomStringConvertible {
    enum Kind: Sendable, Equatable { case damage, moved, disk }

    let kind: Kind
    let reason: String
    let database: String

    init(_ kind: Kind, reason: String, database: String) {
        self.kind = kind
        self.reason = reason
        self.database = database
    }

    var description: String {
        let (what, next) =
            switch kind {
            case .damage:
                (
                    "the database \(database) is damaged",
                    "The next start repairs it, or puts it aside as \(database).damaged-N, begins a new one and takes up the recordings on disk again."
                )
            case .moved:
                (
                    "the database \(database), or its journal, was removed or replaced while it was in use",
                    "The next start works with the file that is there. Where there is none, it works with a copy that is made now."
                )
            case .disk:
                (
                    "the disk has refused the database \(database) for \(HealthJudge.longestRefusal.components.seconds) s",
                    "The next start tries again; look at the disk and its mount options if it fails too."
                )
            }
        return "\(what): \(reason). \(next) Start the daemon again if nothing does so by itself."
    }

    /// Closes the store, when everything else is over, and leaves the next start what it needs.
    func endStore(_ store: Store, _ logger: Logger) {
        switch kind {
        case .damage:
            store.suspect(reason)
            // What was handed in is written as far as it can be. The journal stays as it is: the next start may need it.
            try? store.commitBlocking([.beat])
        case .moved:
            do throws(StoreError) {
                if try store.rescueBlocking() {
                    logger.notice("The database was copied for the next start", metadata: ["path": "\(store.path)"])
                }
            } catch {
                logger.critical("The database could not be copied", metadata: ["reason": "\(error)"])
            }
            store.close()
        case .disk: store.close()
        }
    }
}
