import TextParts

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The kernel's small text files (proc, sysfs), below a root that a test can put elsewhere.
///
/// Memory: paths and buffers are borrowed for the system calls.
struct KernelFiles: Sendable {
    let root: String

    /// At most 64 KB; nil when it cannot be read.
    func text(_ path: String) -> String? {
        let file = unsafe open(root + path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16_384)
        while bytes.count < 65_536 {
            let count = unsafe read(file, &piece, piece.count)
            guard count > 0 else { break }
            bytes += piece[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    func lines(_ path: String) -> [Substring] { text(path)?.lines() ?? [] }

    /// The first number of a file.
    func number(_ path: String) -> Double? {
        text(path)?.words().first.flatMap { Double($0) }
    }

    /// The first word of a file.
    func word(_ path: String) -> String? {
        text(path)?.words().first.map(String.init)
    }

    /// The first line, without its end.
    func line(_ path: String) -> String? { text(path).map { String($0.before("\n")) } }

    /// What a link leads to in the end.
    func realPath(_ path: String) -> String? {
        // Memory: `realpath` allocates the result; it is copied and freed here.
        guard let found = unsafe realpath(root + path, nil) else { return nil }
        defer { unsafe free(found) }
        return unsafe String(cString: found)
    }

    /// Writes a file that exists; errno tells why not.
    func write(_ text: String, to path: String) -> Bool {
        let file = unsafe open(root + path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        let bytes = Array(text.utf8)
        let count = unsafe Glibc.write(file, bytes, bytes.count)
        let code = errno
        close(file)
        errno = code
        return count == bytes.count
    }

    /// Names in a folder, sorted; at most 256.
    func names(_ path: String) -> [String] {
        // Memory: `folder` is closed before the return. It owns `entry` until the next `readdir`; the name is copied before.
        guard let folder = unsafe opendir(root + path) else { return [] }
        defer { unsafe closedir(folder) }
        var names: [String] = []
        while names.count < 256, let entry = unsafe readdir(folder) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }
}
