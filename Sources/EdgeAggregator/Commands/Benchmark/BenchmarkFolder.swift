import CEdgeSystem
import Foundation

/// The folder of the benchmark's own files, on the disk that is measured. It is removed at the end; what a benchmark that was killed
/// has left is removed by the next one.
final class BenchmarkFolder: Sendable {
    static let name = "edge-benchmark.tmp"

    let path: String
    private let descriptor: Int32

    /// - Parameter parent: a folder that exists.
    /// - Throws: ``BenchmarkProblem`` when it cannot be made, or another benchmark uses it.
    ///
    /// Memory: the path is borrowed for the calls; the text of the error is the system's and is copied at once.
    init(in parent: String) throws {
        path = "\(parent)/\(Self.name)"
        let made = unsafe mkdir(path, 0o700)
        let reason = errno
        // A link is not followed: only a folder of this name is emptied.
        descriptor =
            made == 0 || reason == EEXIST
            ? unsafe open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1
        guard descriptor >= 0 else {
            let cause = unsafe String(cString: strerror(made == 0 || reason == EEXIST ? errno : reason))
            throw BenchmarkProblem(
                description:
                    "\(path) cannot be made: \(cause). Run the command as a user who can write there (for example with sudo), measure another folder with --folder, or leave the disk out with --skip disk",
                exitCode: ExitCodes.inputOutput)
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw BenchmarkProblem(
                description: "Another benchmark measures \(parent): wait for its end, or measure another folder",
                exitCode: ExitCodes.inputOutput)
        }
        for name in try FileManager.default.contentsOfDirectory(atPath: path) {
            try FileManager.default.removeItem(atPath: "\(path)/\(name)")
        }
    }

    func remove() {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            printError("\(path) could not be removed: \(error.localizedDescription); delete it")
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }
}

/// Whether a daemon works in `base_dir`. If none does, none starts there until this object is gone.
final class DaemonPresence {
    let isRunning: Bool
    private let descriptor: Int32

    /// Looks at the lock that daemons hold (``InstanceLock``), and makes nothing.
    ///
    /// Memory: the path is borrowed for the call.
    init(baseFolder: String) {
        descriptor = unsafe open("\(baseFolder)/lock", O_RDONLY | O_CLOEXEC)
        isRunning = descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK
    }

    deinit { if descriptor >= 0 { close(descriptor) } }
}
