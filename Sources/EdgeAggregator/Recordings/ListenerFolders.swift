import Foundation

/// The folders of the recordings, one for each listener.
enum ListenerFolders {
    /// Removes folders that are empty and have not changed for a while, at most `limit`. A listener that comes again gets a new one.
    ///
    /// - Parameters:
    ///   - folder: of all recordings.
    ///   - before: the time of the last change; later ones stay.
    ///   - isInUse: whether a listener is connected, by its id.
    /// - Returns: how many were removed.
    ///
    /// Memory: the path is borrowed for the call.
    static func removeEmpty(in folder: String, before: Date, limit: Int = 1000, isInUse: (String) -> Bool) -> Int {
        var removed = 0
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
            guard removed < limit else { break }
            let path = "\(folder)/\(name)"
            guard ListenerID(name) != nil, !isInUse(name),
                let attributes = try? FileManager.default.attributesOfItem(atPath: path),
                attributes[.type] as? FileAttributeType == .typeDirectory,
                let changed = attributes[.modificationDate] as? Date, changed < before
            else { continue }
            // The system refuses for a folder that is not empty.
            if unsafe rmdir(path) == 0 { removed += 1 }
        }
        return removed
    }
}
