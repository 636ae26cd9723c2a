import CSQLite
import Synchronization

/// What became of the store's work, from which readiness follows.
///
/// Each kind of work that failed is remembered until work of its kind succeeds. A success of another kind proves that the disk takes
/// writes, so it also ends what the disk had refused; it proves nothing about damage, which lies in some tables and not in others.
public final class StoreOutcomes: Sendable {
    /// What was tried.
    public enum Work: Hashable, Sendable {
        /// A change, by its name.
        case change(String)
        /// The transaction around a group of changes.
        case transaction
        /// Reading a row of each table, for a sign of life.
        case reading
        /// Reading what somebody asked for.
        case query
        /// Looking whether the database is still where it was opened.
        case place
        /// Making a file in a folder.
        case folder(String)
        /// Syncing recordings.
        case sound

        var isFolder: Bool { if case .folder = self { true } else { false } }
    }

    /// Why it failed.
    public enum Cause: Sendable, Equatable {
        case noRoom
        /// Another program holds the database.
        case locked
        /// The disk or the system refuses.
        case disk
        /// The content of the database is damaged.
        case damage
        /// The error does not tell; an examination does.
        case unclear
        /// The file was removed or replaced.
        case moved

        /// Whether a success of other work says nothing about it.
        var needsProof: Bool { [.damage, .unclear, .moved].contains(self) }
    }

    /// Work of one kind that fails.
    public struct Trouble: Sendable, Equatable {
        public let work: Work
        public let cause: Cause
        public fileprivate(set) var reason: String
        public let first: ContinuousClock.Instant
        public fileprivate(set) var last: ContinuousClock.Instant
        public fileprivate(set) var attempts: Int
    }

    public struct Snapshot: Sendable {
        /// What fails now; empty while everything works.
        public var troubles: [Trouble] = []
        public var lastSuccess: ContinuousClock.Instant?
        public var lastFailure: ContinuousClock.Instant?
        public var failures = 0
        public var failuresInARow = 0
    }

    private struct State {
        var troubles: [Work: Trouble] = [:]
        var snapshot = Snapshot()
    }

    private let state = Mutex(State())
    private let hasTrouble = Atomic<Bool>(false)

    public init() {}

    public var snapshot: Snapshot {
        state.withLock { state in
            var snapshot = state.snapshot
            snapshot.troubles = state.troubles.values.sorted { $0.first < $1.first }
            return snapshot
        }
    }

    /// Whether something fails now.
    public var isTroubled: Bool { hasTrouble.load(ordering: .relaxed) }

    /// A transaction is on the disk.
    ///
    /// - Parameter changes: the names of what it made; asked for only while something fails.
    func committed(_ changes: () -> [String]) {
        state.withLock { state in
            state.snapshot.lastSuccess = .now
            state.snapshot.failuresInARow = 0
            guard !state.troubles.isEmpty else { return }
            for (work, trouble) in state.troubles where !trouble.cause.needsProof {
                if case .change = work { state.troubles[work] = nil }
                if work == .transaction { state.troubles[work] = nil }
            }
            // The transaction itself, too: one that is damaged cannot be ended.
            if state.troubles[.transaction]?.cause != .moved { state.troubles[.transaction] = nil }
            for change in changes() { state.troubles[.change(change)] = nil }
            update(state)
        }
    }

    /// Work of this kind was done.
    public func succeeded(at work: Work) {
        guard isTroubled else { return }
        state.withLock { state in
            state.troubles[work] = nil
            // Reading works again. Whether it does where damage was met, an examination finds out.
            if work == .reading, state.troubles[.query]?.cause.needsProof == false { state.troubles[.query] = nil }
            update(state)
        }
    }

    /// Work failed. What the caller's own request was at fault for does not count.
    public func failed(at work: Work, _ error: StoreError) {
        guard let cause = Cause(error) else { return }
        failed(at: work, cause, reason: error.description)
    }

    /// Folders are many; more than so many that fail tell nothing more. Work of other kinds is always noted.
    private static let maximumTroubles = 100

    public func failed(at work: Work, _ cause: Cause, reason: String) {
        let now = ContinuousClock.now
        state.withLock { state in
            state.snapshot.lastFailure = now
            state.snapshot.failures += 1
            state.snapshot.failuresInARow += 1
            if var trouble = state.troubles[work], trouble.cause == cause {
                trouble.reason = reason
                trouble.last = now
                trouble.attempts += 1
                state.troubles[work] = trouble
            } else if !work.isFolder || state.troubles.count < Self.maximumTroubles {
                state.troubles[work] = Trouble(
                    work: work, cause: cause, reason: reason, first: now, last: now, attempts: 1)
            }
            update(state)
        }
    }

    /// An examination that began at `moment` found the database whole: what failed before is forgiven.
    public func foundWhole(since moment: ContinuousClock.Instant) {
        state.withLock { state in
            state.troubles = state.troubles.filter {
                ![.damage, .unclear].contains($0.value.cause) || $0.value.last >= moment
            }
            update(state)
        }
    }

    private func update(_ state: State) { hasTrouble.store(!state.troubles.isEmpty, ordering: .relaxed) }
}

extension StoreOutcomes.Cause {
    /// Nil for an error that says nothing about the store: a change that a constraint rejects, a task that was cancelled, the end.
    init?(_ error: StoreError) {
        switch error.resultCode & 0xFF {
        case 0:
            guard error.code == .diskFull else { return nil }
            self = .noRoom
        case SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_RANGE, SQLITE_TOOBIG, SQLITE_INTERRUPT, SQLITE_ABORT:
            return nil
        case SQLITE_FULL: self = .noRoom
        case SQLITE_BUSY, SQLITE_LOCKED: self = .locked
        case SQLITE_CORRUPT, SQLITE_NOTADB: self = .damage
        // SQLITE_IOERR_CORRUPTFS: the file system itself says that the content is not what was written.
        case SQLITE_IOERR: self = error.resultCode >> 8 == 33 ? .damage : .disk
        // SQLITE_READONLY_DBMOVED
        case SQLITE_READONLY: self = error.resultCode >> 8 == 4 ? .moved : .disk
        case SQLITE_CANTOPEN, SQLITE_PERM, SQLITE_NOMEM, SQLITE_PROTOCOL, SQLITE_NOLFS, SQLITE_AUTH: self = .disk
        default: self = .unclear
        }
    }
}

extension StoreOutcomes.Trouble {
    /// For people: what does not work, and why.
    public var text: String {
        switch cause {
        case .noRoom: "the disk is full: the database takes no changes"
        case .locked: "another program holds the database"
        case .disk:
            switch work {
            case .folder(let path): "\(path) cannot be written: \(reason)"
            case .sound: "recordings cannot be written: \(reason)"
            case .change, .transaction, .reading, .query, .place: "the disk refuses what is written to the database"
            }
        case .damage: "the database is damaged"
        case .unclear: "the database refuses its work"
        case .moved: "the database file was removed or replaced while it was in use"
        }
    }
}

extension StoreOutcomes.Snapshot {
    /// What does not work, each said once; empty while everything works.
    public var reasons: [String] {
        troubles.reduce(into: []) { reasons, trouble in
            if !reasons.contains(trouble.text) { reasons.append(trouble.text) }
        }
    }
}

extension StoreChange {
    /// The name of its case.
    var name: String { Mirror(reflecting: self).children.first?.label ?? "\(self)" }
}
