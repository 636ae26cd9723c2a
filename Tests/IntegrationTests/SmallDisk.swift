import EdgeTesting
import Foundation

/// A file system of a few megabytes of the test's own; the rest of the machine is not touched.
final class SmallDisk {
    let folder: String

    /// - Parameter files: inodes that it has; nil for as many as one likes.
    init(megabytes: Int, files: Int? = nil) throws {
        folder = try TestFolders.temporary("edge-small-disk")
        let limit = files.map { ",nr_inodes=\($0)" } ?? ""
        try Self.run("mount", ["-t", "tmpfs", "-o", "size=\(megabytes)m\(limit)", "tmpfs", folder])
    }

    deinit {
        try? Self.run("umount", ["-l", folder])
        TestFolders.remove(folder)
    }

    var freeBytes: Int64 {
        var status = statvfs()
        statvfs(folder, &status)
        return Int64(status.f_bavail) * Int64(status.f_frsize)
    }

    var freeFiles: Int {
        var status = statvfs()
        statvfs(folder, &status)
        return Int(status.f_favail)
    }

    /// Takes every byte that is left, as another program would. ``release()`` gives them back.
    func fill() throws {
        let file = open("\(folder)/filler", O_WRONLY | O_CREAT | O_APPEND, 0o644)
        guard file >= 0 else { throw DaemonProcess.Failure(description: "no filler: errno \(errno)") }
        defer { close(file) }
        for size in [1 << 20, 4096] {
            let block = [UInt8](repeating: 1, count: size)
            while write(file, block, size) == size {}
        }
    }

    /// Takes every inode that is left.
    func fillFiles() throws {
        try FileManager.default.createDirectory(atPath: "\(folder)/fillers", withIntermediateDirectories: true)
        var number = 0
        while true {
            let file = open("\(folder)/fillers/\(number)", O_WRONLY | O_CREAT | O_EXCL, 0o644)
            guard file >= 0 else { return }
            close(file)
            number += 1
        }
    }

    func release() throws {
        try? FileManager.default.removeItem(atPath: "\(folder)/filler")
        try? FileManager.default.removeItem(atPath: "\(folder)/fillers")
    }

    static func run(_ program: String, _ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program] + arguments
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw DaemonProcess.Failure(
                description:
                    "\(program) \(arguments) failed; this test mounts a small tmpfs and so needs root (or `unshare -rm make test`)"
            )
        }
    }
}
