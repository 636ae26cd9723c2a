import Foundation

/// Reads the names in a folder a piece at a time, so that a folder with a million files takes no more memory than one with hundreds.
///
/// Names that are added or removed meanwhile may be among them or not (readdir(3)).
///
/// Memory: the stream is opened by `init` and closed by `deinit`. An entry belongs to the stream and is valid up to the next call; its
/// name ends with a NUL and is copied at once.
@safe
final class FolderNames {
    private let folder: String
    private let stream: OpaquePointer

    /// - Throws: when the folder cannot be opened, with `ENOENT` when there is none.
    init(_ folder: String) throws(FolderFiles.Failure) {
        guard let stream = unsafe opendir(folder) else { throw FolderFiles.Failure(path: folder, errnoValue: errno) }
        self.folder = folder
        unsafe self.stream = stream
    }

    deinit { unsafe closedir(stream) }

    /// At most `maximum` names, in order among themselves; none at the end.
    ///
    /// - Throws: when the folder cannot be read on.
    func next(_ maximum: Int) throws(FolderFiles.Failure) -> [String] {
        var names: [String] = []
        while names.count < maximum {
            errno = 0
            guard let entry = unsafe readdir(stream) else {
                guard errno == 0 else { throw FolderFiles.Failure(path: folder, errnoValue: errno) }
                break
            }
            // Not through `pointee`: an entry is only as long as its name, and a copy of the whole type may end behind it.
            guard let start = MemoryLayout<dirent>.offset(of: \.d_name) else { break }
            let text = unsafe UnsafeRawPointer(entry).advanced(by: start).assumingMemoryBound(to: CChar.self)
            let name = unsafe String(cString: text)
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}
