import Foundation
import Logging
import ServiceLifecycle
import Store
import Synchronization

/// Does a little of each kind of work when nothing else does, makes removed folders again, and ends the daemon when the next start
/// can repair what this run cannot.
///
/// What fails, and so readiness, is in the store's outcomes.
struct StoreHealth: Service {
    let store: Store
    /// Those that must be there; one that was removed is made again.
    let folders: [String]
    /// Syncs of recordings that were done and that failed, since the start.
    let soundSyncs: @Sendable () -> (done: Int, failed: Int)
    /// How long ending may take before it is cut off.
    let shutdownSeconds: Int
    let logger: Logger

    /// How often work is done for a sign of life: seldom, and often while something fails.
    static let calmPause = Duration.seconds(30)
    static let troubledPause = Duration.seconds(2)
    /// A run without trouble for so long was a good one.
    static let good = Duration.seconds(600)

    func run() async throws {
        guard let end = await cancelWhenGracefulShutdown({ await watch() }) else {
            try? await gracefulShutdown()
            return
        }
        logger.critical("The daemon ends itself", metadata: ["reason": "\(end)"])
        // What is being received is closed as at a signal; if that hangs, the process ends nevertheless.
        HangWatch(limitSeconds: shutdownSeconds + 60, logger: logger).start()
        throw end
    }

    /// Returns when the daemon must end; nil when it was told to.
    private func watch() async -> CannotContinue? {
        var judge = HealthJudge()
        var places = store.places
        let examination = Mailbox()
        var lastLife = ContinuousClock.now - Self.calmPause
        var syncs = soundSyncs()
        let started = ContinuousClock.now
        var isTrusted = false
        while !Task.isCancelled {
            lookForDatabase(&places)
            note(&syncs)
            let now = ContinuousClock.now
            if now - lastLife >= (store.outcomes.isTroubled ? Self.troubledPause : Self.calmPause) {
                lastLife = now
                for folder in folders + troubledFolders { tryWriting(folder) }
                await store.showLife()
            }
            if let found = examination.take() { judge.take(found, of: store.outcomes) }
            switch judge.next(store.outcomes.snapshot, now: .now) {
            case .nothing: break
            case .examine:
                logger.error(
                    "The database is examined", metadata: ["reasons": "\(store.outcomes.snapshot.reasons)"])
                examination.fill(with: store)
            case .end(let kind, let reason): return CannotContinue(kind, reason: reason, database: store.path)
            }
            if !isTrusted, ContinuousClock.now - started > Self.good, !store.outcomes.isTroubled {
                store.trust()
                isTrusted = true
            }
            try? await Task.sleep(for: .seconds(1))
        }
        return nil
    }

    /// A file that is in use stays where it was when it was first seen; what is written to one that is not there is lost.
    private func lookForDatabase(_ places: inout [String: FileIdentity]) {
        let now = store.places
        if let gone = places.keys.sorted().first(where: { now[$0] != places[$0] }) {
            store.outcomes.failed(at: .place, .moved, reason: "\(gone) is another file now, or is missing")
        } else {
            store.outcomes.succeeded(at: .place)
            places = now
        }
    }

    private func note(_ before: inout (done: Int, failed: Int)) {
        let now = soundSyncs()
        if now.failed > before.failed {
            store.outcomes.failed(at: .sound, .disk, reason: "the disk did not take what was synced")
        } else if now.done > before.done {
            store.outcomes.succeeded(at: .sound)
        }
        before = now
    }

    /// Folders of listeners in which recordings could not be written.
    private var troubledFolders: [String] {
        store.outcomes.snapshot.troubles.compactMap { trouble in
            if case .folder(let path) = trouble.work, !folders.contains(path) { path } else { nil }
        }
    }

    /// Makes a small file in a folder. One that must be there is made again when it is gone.
    private func tryWriting(_ folder: String) {
        do {
            if !FileManager.default.fileExists(atPath: folder) {
                guard folders.contains(folder) else { return store.outcomes.succeeded(at: .folder(folder)) }
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
                logger.error("A folder had been removed and was made again", metadata: ["folder": "\(folder)"])
            }
            // Synced only where syncing has failed: nothing of it needs to get to the disk.
            let isSoundTroubled = store.outcomes.snapshot.troubles.contains { $0.work == .sound }
            try SignOfLife.write(in: folder, isSynced: isSoundTroubled)
            store.outcomes.succeeded(at: .folder(folder))
            if isSoundTroubled, folder == folders.first { store.outcomes.succeeded(at: .sound) }
        } catch let error as POSIXError where [.ENOSPC, .EDQUOT].contains(error.code) {
            // How full the disk is, is said elsewhere.
            store.outcomes.succeeded(at: .folder(folder))
        } catch {
            store.outcomes.failed(at: .folder(folder), .disk, reason: "\(error.localizedDescription)")
        }
    }
}

/// A small file that is made and removed.
///
/// Memory: the path and the byte are borrowed for the calls.
private enum SignOfLife {
    static func write(in folder: String, isSynced: Bool) throws {
        let path = "\(folder)/.alive"
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure }
        defer {
            close(descriptor)
            unsafe unlink(path)
        }
        var byte: UInt8 = 0
        guard unsafe Foundation.write(descriptor, &byte, 1) == 1 else { throw failure }
        if isSynced, fsync(descriptor) != 0 { throw failure }
    }

    private static var failure: POSIXError { POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
}

/// An examination of the database on a thread of its own: it takes long, and no shutdown waits for it.
private final class Mailbox: Sendable {
    private let found = Mutex<HealthJudge.Found?>(nil)

    func fill(with store: Store) {
        Thread.detachNewThread { [self] in
            let began = ContinuousClock.now
            let result: HealthJudge.Found.Result
            do throws(StoreError) {
                result = try store.damageBlocking().map { .damaged($0) } ?? .whole
            } catch {
                result = .unknown
            }
            found.withLock { $0 = HealthJudge.Found(began: began, result: result) }
        }
    }

    func take() -> HealthJudge.Found? {
        found.withLock { found in
            defer { found = nil }
            return found
        }
    }
}
