import CEdgeSystem
import Foundation

/// What lies in a folder.
enum FolderFiles {
    /// A folder or file that is there, and of which the system cannot say what it is or holds.
    struct Failure: Error {
        let path: String
        let errnoValue: Int32

        /// Memory: the text is the system's and is copied at once.
        var text: String { unsafe String(cString: strerror(errnoValue)) }
    }

    /// Plain files below a folder, with paths relative to it, in order; links are not followed.
    ///
    /// - Parameter onFailure: Is told what cannot be listed now. What is in it is missing from the result.
    ///
    /// Memory: the path and the status are borrowed for the call.
    static func all(
        below folder: String, depth: Int = 6, onFailure: (Failure) -> Void = { _ in }
    ) -> [(path: String, bytes: Int64)] {
        var found: [(path: String, bytes: Int64)] = []
        for name in names(in: folder, onFailure: onFailure) {
            let path = "\(folder)/\(name)"
            var status = EdgeFileStatus()
            guard unsafe edge_lstat(path, &status) == 0 else {
                if errno != ENOENT { onFailure(Failure(path: path, errnoValue: errno)) }
                continue
            }
            if status.isFile { found.append((name, status.size_bytes)) }
            if status.isFolder, depth > 0 {
                for file in all(below: path, depth: depth - 1, onFailure: onFailure) {
                    found.append(("\(name)/\(file.path)", file.bytes))
                }
            }
        }
        return found
    }

    /// The names in a folder, in order; none where there is no folder. Foundation takes an error in the middle of a listing for
    /// its end, so the system is asked directly.
    ///
    /// Memory: the path is borrowed for the call. The stream is closed here. An entry belongs to the stream and is valid up to the
    /// next call; its name ends with a NUL and is copied at once.
    static func names(in folder: String, onFailure: (Failure) -> Void) -> [String] {
        guard let stream = unsafe opendir(folder) else {
            if errno != ENOENT, errno != ENOTDIR { onFailure(Failure(path: folder, errnoValue: errno)) }
            return []
        }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = unsafe readdir(stream) else { break }
            // Not through `pointee`: an entry is only as long as its name, and a copy of the whole type may end behind it.
            guard let start = MemoryLayout<dirent>.offset(of: \.d_name) else { break }
            let text = unsafe UnsafeRawPointer(entry).advanced(by: start).assumingMemoryBound(to: CChar.self)
            let name = unsafe String(cString: text)
            if name != ".", name != ".." { names.append(name) }
        }
        if errno != 0 { onFailure(Failure(path: folder, errnoValue: errno)) }
        return names.sorted()
    }

    /// Bytes, and files and folders, that are in a folder; itself and links are counted too.
    ///
    /// Memory: the path and the status are borrowed for the call.
    static func usage(of folder: String, depth: Int = 6) -> CO2Usage {
        var status = EdgeFileStatus()
        guard unsafe edge_lstat(folder, &status) == 0 else { return CO2Usage() }
        var usage = CO2Usage(bytes: status.isFile ? status.size_bytes : 0, entries: 1)
        guard status.isFolder, depth >= 0 else { return usage }
        for name in names(in: folder, onFailure: { _ in }) {
            usage = usage + Self.usage(of: "\(folder)/\(name)", depth: depth - 1)
        }
        return usage
    }

    /// Removes empty files, and folders without anything, that were last changed before a time.
    ///
    /// - Parameters:
    ///   - beforeNanoseconds: UTC.
    ///   - kept: The path of a file that stays whatever it is.
    /// - Returns: whether anything was removed.
    ///
    /// Memory: the paths and the status are borrowed for the calls.
    @discardableResult
    static func removeEmpty(
        below folder: String, before beforeNanoseconds: Int64, keeping kept: String? = nil, depth: Int = 6
    ) -> Bool {
        let keptBytes = kept.map { Array($0.utf8) }
        var hasRemoved = false
        for name in names(in: folder, onFailure: { _ in }) {
            let path = "\(folder)/\(name)"
            var status = EdgeFileStatus()
            guard unsafe edge_lstat(path, &status) == 0 else { continue }
            if status.isFolder, depth > 0 {
                if removeEmpty(below: path, before: beforeNanoseconds, keeping: kept, depth: depth - 1) {
                    hasRemoved = true
                }
                // Its time is of before the removal of what was in it. Only a folder with nothing in it can be removed.
                guard status.modified_ns < beforeNanoseconds else { continue }
                if unsafe rmdir(path) == 0 { hasRemoved = true }
            } else if status.isFile, status.size_bytes == 0, status.modified_ns < beforeNanoseconds,
                Array(path.utf8) != keptBytes
            {
                if unsafe unlink(path) == 0 { hasRemoved = true }
            }
        }
        return hasRemoved
    }
}
