import Foundation

/// Who may read what the program writes: its user, and the group where the mask of the service manager allows it; never others.
enum FileModes {
    /// Takes writing from the group and everything from others, for all files made from here on. A mask that is stricter stays:
    /// the service of the package has 0077.
    ///
    /// Called before other threads are there.
    static func restrict() {
        let mask = umask(0o077)
        umask(mask | 0o027)
    }

    /// Takes from others what an earlier version, or another program, left to them. What belongs to another user stays as it is.
    static func hide(_ path: String) {
        // Of a link these are the link's own.
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: path),
            attributes[.type] as? FileAttributeType != .typeSymbolicLink,
            let mode = attributes[.posixPermissions] as? Int, mode & 0o007 != 0
        else { return }
        try? FileManager.default.setAttributes([.posixPermissions: mode & 0o7770], ofItemAtPath: path)
    }

    /// Makes a file empty that its user alone may read, for another program to fill.
    ///
    /// - Throws: `POSIXError`
    ///
    /// Memory: the path is borrowed for the call.
    static func makePrivate(_ path: String) throws {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        defer { close(descriptor) }
        // A card with FAT has no modes.
        _ = fchmod(descriptor, 0o600)
    }
}
