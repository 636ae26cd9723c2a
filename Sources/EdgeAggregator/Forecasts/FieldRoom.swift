import CEdgeSystem
import Forecasts
import Foundation

/// The right to write forecast fields. They stop before sound does: they leave `forecasts_min_free_bytes`, and are not written
/// while there is no room for sound on their disk.
struct FieldRoom: Sendable {
    let folder: String
    /// For sound, so that fields leave as many inodes.
    let permit: DiskPermit
    let leastFreeBytes: Int64

    /// Why so many bytes may not be written now; nil when they may. Nothing is counted.
    ///
    /// Memory: the path and the status are borrowed for the call; the text of the error is the system's and is copied at once.
    func shortage(for bytes: Int = 0) -> String? {
        var status = EdgeFileStatus()
        guard unsafe edge_stat(folder, &status) == 0 else {
            return unsafe "\(folder) cannot be looked at: \(String(cString: strerror(errno)))"
        }
        let free = permit.volume.space.freeBytes
        guard free - Int64(bytes) >= leastFreeBytes else {
            return
                "\(free) bytes are free on the disk of \(folder), and forecasts leave \(leastFreeBytes) (forecasts_min_free_bytes)"
        }
        guard permit.mayWrite else {
            return
                "the disk of \(folder) has too few free bytes or inodes for sound, and forecasts stop before sound does"
        }
        return nil
    }

    /// Counts bytes of a field that are about to be written.
    ///
    /// - Throws: When there is no room for them. Nothing may be written then.
    func take(_ bytes: Int, path: String) throws {
        // Asked first: a permit that refuses also stops sound for a moment.
        if let shortage = shortage(for: bytes) { throw CollectionFailure.failed(shortage) }
        try permit.take(bytes, path: path)
    }
}
