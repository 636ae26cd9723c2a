import Foundation

/// Whether another program is writing a file.
///
/// Asks for a read lease (fcntl(2), F_SETLEASE), which the kernel grants only for a file that nobody has open for writing, and gives it back
/// at once. Where leases are not to be had (some file systems, files of other users) the answer is no.
///
/// A program that opens the file just then makes the kernel send SIGIO, so a process that calls this has to ignore that signal.
enum OpenElsewhere {
    // Of Linux; not in every C library's headers.
    private static let setLease: Int32 = 1024
    private static let readLease: Int32 = 0
    private static let noLease: Int32 = 2

    /// - Parameter descriptor: opened for reading only.
    static func isWritten(_ descriptor: Int32) -> Bool {
        guard fcntl(descriptor, setLease, readLease) == 0 else { return errno == EAGAIN }
        _ = fcntl(descriptor, setLease, noLease)
        return false
    }
}
