import CEdgeSystem
import Forecasts
import Foundation

/// The files of forecast fields, one for each time of each run, below one folder.
///
/// Everything here runs on one thread of its own, since libnetcdf is not made for several. A file gets its name when it is
/// whole and synced; what lies there under another name, or is unknown to the catalogue, was left by a power cut.
final class FieldArchive: Sendable {
    let folder: String
    private let room: FieldRoom
    let executor: IngestExecutor

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private static let temporarySuffix = ".part"
    private static let headBytes = 4096

    /// - Parameter room: Asked before each write.
    init(folder: String, room: FieldRoom) {
        self.folder = folder
        self.room = room
        executor = IngestExecutor(threads: 1, name: "fields")
    }

    func stop() { executor.stop() }

    func path(_ relative: String) -> String { "\(folder)/\(relative)" }

    /// `wind/20260829/00/wind-2026082900-f003.nc`
    static func path(kind: ForecastKind, runSeconds: Int64, id: String) -> String {
        let hour = CalendarTime.parts(runSeconds).hour
        return "\(kind.rawValue)/\(CalendarTime.dayText(runSeconds))/\(hour < 10 ? "0" : "")\(hour)/\(id).nc"
    }

    /// Writes a file, so that it is on the disk with its name when this returns.
    ///
    /// - Parameter body: hands over the values.
    /// - Returns: its size in bytes.
    func write(
        _ relative: String, _ description: FieldWriter.Description, _ body: (OpenField) throws -> Void
    ) throws -> Int64 {
        let file = try begin(relative, description)
        do {
            try body(file)
            return try file.finish()
        } catch {
            file.discard()
            throw error
        }
    }

    /// Begins a file whose values come bit by bit.
    func begin(_ relative: String, _ description: FieldWriter.Description) throws -> OpenField {
        let final = path(relative)
        // The head, with the coordinates.
        try room.take(
            Self.headBytes + 8 * (description.grid.latitude.count + description.grid.longitude.count), path: final)
        try FileManager.default.createDirectory(
            atPath: (final as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        return try OpenField(root: folder, relative: relative, room: room, description)
    }

    /// A file that is being written. Used on the archive's thread alone.
    final class OpenField: @unchecked Sendable {
        private let root: String
        private let relative: String
        private let temporary: String
        private let room: FieldRoom
        private var writer: FieldWriter?

        init(root: String, relative: String, room: FieldRoom, _ description: FieldWriter.Description) throws {
            self.root = root
            self.relative = relative
            self.room = room
            temporary = "\(root)/\(relative)\(FieldArchive.temporarySuffix)"
            writer = try FieldWriter(description, path: temporary)
        }

        /// Writes a part of a variable (``FieldWriter/put(variable:time:row:column:rows:columns:values:)``), if there is room for it.
        func put(
            variable: Int, time: Int, row: Int = 0, column: Int = 0, rows: Int, columns: Int, values: [Float]
        ) throws {
            let writer = try openWriter()
            try room.take(values.count * MemoryLayout<Float>.size, path: temporary)
            try writer.put(
                variable: variable, time: time, row: row, column: column, rows: rows, columns: columns, values: values)
        }

        private func openWriter() throws -> FieldWriter {
            guard let writer else { throw Failure(description: "\(temporary) is not open any more") }
            return writer
        }

        /// Syncs it and gives it its name; its size in bytes.
        ///
        /// Memory: the paths are borrowed for the calls.
        func finish() throws -> Int64 {
            _ = try openWriter().finish()
            writer = nil
            let file = unsafe open(temporary, O_RDWR | O_CLOEXEC)
            guard file >= 0 else { throw FieldArchive.failure(temporary) }
            defer { close(file) }
            guard fsync(file) == 0 else { throw FieldArchive.failure(temporary) }
            let size = lseek(file, 0, SEEK_END)
            guard unsafe rename(temporary, "\(root)/\(relative)") == 0 else { throw FieldArchive.failure(temporary) }
            try FieldArchive.sync(foldersOf: relative, in: root)
            return Int64(size)
        }

        /// Memory: the path is borrowed for the call.
        func discard() {
            writer = nil
            unsafe unlink(temporary)
        }
    }

    /// Memory: the text of the error is the system's and is copied at once.
    private static func failure(_ path: String) -> Failure {
        Failure(description: unsafe "\(path): \(String(cString: strerror(errno)))")
    }

    /// Each folder on the way, since each may be new.
    ///
    /// Memory: the path is borrowed for the call.
    private static func sync(foldersOf relative: String, in root: String) throws {
        var path = (relative as NSString).deletingLastPathComponent
        while true {
            let full = path.isEmpty ? root : "\(root)/\(path)"
            let folder = unsafe open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard folder >= 0 else { throw failure(full) }
            defer { close(folder) }
            guard fsync(folder) == 0 else { throw failure(full) }
            if path.isEmpty { return }
            path = (path as NSString).deletingLastPathComponent
        }
    }

    /// What is not there is as good as removed.
    ///
    /// Memory: the paths are borrowed for the calls.
    func remove(_ relative: String) throws {
        guard unsafe unlink(path(relative)) == 0 || errno == ENOENT else { throw Self.failure(path(relative)) }
        // Folders that are empty now go too; others stay.
        var parent = (relative as NSString).deletingLastPathComponent
        while !parent.isEmpty, unsafe rmdir(path(parent)) == 0 {
            parent = (parent as NSString).deletingLastPathComponent
        }
    }

    /// Every file that is there, below the folder, with its size.
    ///
    /// - Throws: when any folder or file cannot be looked at now. A list with holes would say that files are gone.
    ///
    /// Memory: the path and the status are borrowed for the call.
    func files() throws -> [String: Int64] {
        var files: [String: Int64] = [:]
        var folders = [""]
        while let parent = folders.popLast() {
            for name in try FileManager.default.contentsOfDirectory(atPath: parent.isEmpty ? folder : path(parent)) {
                let relative = parent.isEmpty ? name : "\(parent)/\(name)"
                var status = EdgeFileStatus()
                guard unsafe edge_lstat(path(relative), &status) == 0 else { throw Self.failure(path(relative)) }
                if status.isFile { files[relative] = status.size_bytes }
                if status.isFolder { folders.append(relative) }
            }
        }
        return files
    }

    /// When a file was last written, in seconds since 1970; nil when that cannot be told.
    ///
    /// Memory: the path and the status are borrowed for the call.
    func modifiedSeconds(_ relative: String) -> Int64? {
        var status = EdgeFileStatus()
        return unsafe edge_lstat(path(relative), &status) == 0 ? status.modified_ns / 1_000_000_000 : nil
    }

    /// Ends of the names of files that cannot be used and are kept nevertheless.
    static let asideSuffix = ".damaged"

    /// Renames a file that cannot be used, so that nobody takes it for a field.
    ///
    /// Memory: the paths are borrowed for the call.
    func putAside(_ relative: String) throws {
        let aside = "\((relative as NSString).deletingPathExtension)\(Self.asideSuffix)"
        guard unsafe rename(path(relative), path(aside)) == 0 else { throw Self.failure(path(relative)) }
    }

    /// What a file without a row is of, by what it holds; nil for one that holds no field.
    ///
    /// - Throws: when it cannot be read now, which says nothing about it.
    func field(_ relative: String) throws -> (kind: ForecastKind, validSeconds: ClosedRange<Int64>)? {
        do throws(NetCDFError) {
            let reader = try FieldReader(path: path(relative))
            guard let kind = reader.kind, let first = reader.times.first, let last = reader.times.last, first <= last
            else { return nil }
            return (kind, first...last)
        } catch {
            // libnetcdf does not tell a damaged file from one that cannot be read now.
            _ = try Data(contentsOf: URL(fileURLWithPath: path(relative)))
            return nil
        }
    }
}
