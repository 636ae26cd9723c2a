import Foundation

/// Holds `base_dir` for one program: two daemons on the same files, or a restore under a running one, would spoil both.
final class InstanceLock: Sendable {
    struct Refused: Error, CustomStringConvertible {
        let description: String
    }

    private let descriptor: Int32

    /// - Throws: ``Refused`` when somebody else has it, or this user may not write there. The kernel frees it when its holder ends, however that ends.
    ///
    /// Memory: the path is borrowed for the call; the text of the error is the system's and is copied at once.
    init(baseFolder: String) throws {
        descriptor = unsafe open("\(baseFolder)/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else {
            throw Refused(
                description:
                    unsafe "\(baseFolder)/lock cannot be opened (\(String(cString: strerror(errno)))): make the folder writable for this user, or set base_dir to another one"
            )
        }
        try FileOwner(of: baseFolder).take("\(baseFolder)/lock")
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            // The descriptor is closed with the object, and only there: its number may be another file's right after.
            throw Refused(
                description: "Another daemon uses \(baseFolder): end it first, or set base_dir to another folder")
        }
    }

    deinit { close(descriptor) }
}
