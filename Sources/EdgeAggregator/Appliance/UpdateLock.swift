import Foundation
import Logging
import ServiceLifecycle

/// Asks whoever updates containers to wait while recordings are written (balena documentation, "Update locking": the update waits as
/// long as the file is there). Listeners that never stop must not hold up updates for ever, so once in a while it is not there.
struct UpdateLock: Service {
    /// How long an update may have to wait.
    static let most = Duration.seconds(3600)
    /// How long the way is free then: a supervisor that found it locked looks again ever more seldom, in the end each quarter of an hour.
    static let opening = Duration.seconds(20 * 60)

    let path: String
    let logger: Logger
    /// Whether something is being written.
    let isBusy: @Sendable () -> Bool

    func run() async throws {
        let folder = (path as NSString).deletingLastPathComponent
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        // Of a daemon that was killed; one that somebody else has taken is theirs.
        let owner = (try? FileManager.default.attributesOfItem(atPath: path))?[.ownerAccountID] as? NSNumber
        if owner?.uint32Value == geteuid() { release() }
        await cancelWhenGracefulShutdown {
            var heldSince: ContinuousClock.Instant?
            var freeUntil = ContinuousClock.now
            var isTold = false
            while !Task.isCancelled {
                let now = ContinuousClock.now
                if let since = heldSince {
                    if !isBusy() || now - since > Self.most {
                        if isBusy() { freeUntil = now + Self.opening }
                        release()
                        heldSince = nil
                    }
                } else if isBusy(), now >= freeUntil {
                    if take() {
                        heldSince = now
                    } else if errno != EEXIST, !isTold {
                        isTold = true
                        // Memory: the text of the error is the system's and is copied at once.
                        logger.warning(
                            "The lock against updates cannot be taken: an update may come while recordings are written",
                            metadata: ["path": "\(path)", "reason": unsafe "\(String(cString: strerror(errno)))"])
                    }
                }
                try? await Task.sleep(for: .seconds(1))
            }
        }
        try? await gracefulShutdown()
        release()
    }

    /// By itself alone, so that two never hold it.
    ///
    /// Memory: the path is borrowed for the call.
    private func take() -> Bool {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return false }
        close(descriptor)
        return true
    }

    /// Memory: the path is borrowed for the call.
    private func release() { unsafe unlink(path) }
}
