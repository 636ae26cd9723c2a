import FieldNodes
import Foundation

/// The units' signs of life in the files of the former server, for scripts that read them: `var/pings/pings-0000.tsv`.
///
/// A copy: the store is what counts, so these are not synced. It waits for the disk: call it on an executor that may.
actor PingLog {
    private let folder: String
    private let sequence = FileSequence(prefix: "pings-", suffix: ".tsv")
    private let permit: DiskPermit
    private var name: String?

    init(folder: String, permit: DiskPermit) {
        self.folder = folder
        self.permit = permit
    }

    func append(_ line: String) throws {
        try permit.take(line.utf8.count + 1, path: folder)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let current =
            try name ?? sequence.last(of: FileManager.default.contentsOfDirectory(atPath: folder)) ?? sequence.name(0)
        var path = "\(folder)/\(current)"
        name = current
        let size = (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int ?? 0
        if size >= FileSequence.limitBytes {
            let next = sequence.name((sequence.number(of: current) ?? 0) + 1)
            name = next
            path = "\(folder)/\(next)"
        }
        // Memory: `file` is opened here and closed when this returns; the texts are borrowed for the calls.
        guard let file = unsafe fopen(path, "a") else { throw CocoaError(.fileWriteUnknown) }
        defer { unsafe fclose(file) }
        unsafe fputs(line + "\n", file)
    }
}
