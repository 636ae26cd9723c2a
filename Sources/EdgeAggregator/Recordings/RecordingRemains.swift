import AudioDSP
import CEdgeSystem
import Foundation
import Store

/// What is left of the file of a recording that was being written when the program stopped.
///
/// Memory: paths and statuses are borrowed for the calls.
struct RecordingRemains {
    /// Something stands in the way now; nothing is known of the file, and nothing was decided.
    struct Obstacle: Error, CustomStringConvertible {
        let description: String
    }

    enum Verdict: Equatable {
        /// Its sound is there, and the file is whole.
        case kept(Sound)
        /// There is no file, or one that ends before its sound begins.
        case nothing(fileBytes: Int64?)
        /// A file of another kind has its name.
        case another
        /// It holds something from which no sound can be had.
        case unreadable(fileBytes: Int64, modifiedNanoseconds: Int64)
    }

    struct Sound: Equatable {
        /// Sample frames, those in ``missing`` included.
        let frames: Int64
        /// Damaged sound in the place of which is silence now.
        var missing: [Range<Int64>] = []
        let fileBytes: Int64
        /// When the last of its sound was written.
        let modifiedNanoseconds: Int64
        /// Whether something of it was damaged.
        var wasDamaged = false
    }

    /// Ends of the names of files that are put aside, and of those that are only half made.
    static let asideSuffix = ".damaged"
    static let copySuffix = ".salvaged"

    let path: String

    init(path: String) { self.path = path }

    /// Nil when there is no such file.
    static func status(_ path: String) throws(Obstacle) -> EdgeFileStatus? {
        var status = EdgeFileStatus()
        if unsafe edge_lstat(path, &status) == 0 { return status }
        guard errno == ENOENT else { throw Obstacle(errnoValue: errno) }
        return nil
    }

    // MARK: - Repair

    /// Repairs the file by what its row says: format and container do not have to be in the file.
    ///
    /// - Parameters:
    ///   - permit: Asked before the file is written anew. A few bytes of its head are written without.
    ///   - limit: of looking for what is left in a FLAC file.
    /// - Throws: when it cannot be read or written now, also for want of room, and where the limit ends the work. It is left as
    ///   it is then.
    func repair(
        _ row: RecordingRecord, _ permit: DiskPermit, _ limit: DecodingLimit = DecodingLimit()
    ) throws -> Verdict {
        guard let before = try Self.status(path) else { return .nothing(fileBytes: nil) }
        guard before.isFile else { throw Obstacle(description: "it is no plain file") }
        let unreadable = Verdict.unreadable(
            fileBytes: before.size_bytes, modifiedNanoseconds: before.modified_ns)
        guard let encoding = PCMFormat.Encoding(rawValue: row.encoding),
            let format = try? PCMFormat(encoding: encoding, channels: row.channels, sampleRate: row.sampleRate)
        else { return unreadable }
        switch RecordingContainer(rawValue: row.container) {
        case .wav: return try repairWAV(format, before)
        case .flac: return try repairFLAC(format, before, unreadable, permit, limit)
        // Nothing is recorded as MP3.
        case .mp3, nil: return unreadable
        }
    }

    private func repairWAV(_ format: PCMFormat, _ before: EdgeFileStatus) throws -> Verdict {
        guard let repaired = try WAVFile.repair(path: path, as: format) else {
            return before.size_bytes < Int64(WAVHeader.canonicalBytes)
                ? .nothing(fileBytes: before.size_bytes) : .another
        }
        return .kept(
            try sound(frames: repaired.frames, modified: before.modified_ns, wasDamaged: repaired.wasDamaged))
    }

    private func repairFLAC(
        _ format: PCMFormat, _ before: EdgeFileStatus, _ unreadable: Verdict, _ permit: DiskPermit,
        _ limit: DecodingLimit
    ) throws -> Verdict {
        let file = unsafe open(path, O_RDWR | O_CLOEXEC)
        guard file >= 0 else { throw Obstacle(errnoValue: errno) }
        defer { close(file) }
        let remains = try FLACRemains(descriptor: file, path: path, format: format, limit: limit)
        switch remains.state {
        case .empty: break
        case .unreadable: return unreadable
        case .cut: try remains.repair()
        case .broken:
            try permit.take(
                Int(before.size_bytes + Self.silenceBytes(remains.missing, format)), path: path, isCopy: true)
            try replace { (target) throws(SoundFileError) in try remains.copy(to: target) }
        }
        return .kept(
            try sound(
                frames: remains.frames, modified: before.modified_ns, missing: remains.missing,
                wasDamaged: remains.state == .broken))
    }

    /// At most what the silence in the place of missing sound takes: a frame without sound for each block of the encoder's, and a
    /// last one for each gap.
    private static func silenceBytes(_ missing: [Range<Int64>], _ format: PCMFormat) -> Int64 {
        let frames = missing.reduce(0) { $0 + Int64($1.count) / 4096 + 1 }
        return frames * Int64(20 + format.channels * (1 + format.bytesPerSample))
    }

    /// The time of the last sound stays the file's time, so that a repair which is done twice says the same.
    private func sound(
        frames: Int64, modified: Int64, missing: [Range<Int64>] = [], wasDamaged: Bool
    ) throws(Obstacle) -> Sound {
        _ = unsafe edge_set_modified(path, modified)
        guard let after = try Self.status(path) else { throw Obstacle(errnoValue: ENOENT) }
        return Sound(
            frames: frames, missing: missing, fileBytes: after.size_bytes, modifiedNanoseconds: modified,
            wasDamaged: wasDamaged)
    }

    // MARK: - Files beside it

    /// Puts a new file in the place of this one, which is kept beside it.
    private func replace(_ body: (Int32) throws(SoundFileError) -> Void) throws {
        let copy = path + Self.copySuffix
        // Of an earlier attempt; the original is still in its place.
        unsafe unlink(copy)
        let target = unsafe open(copy, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o640)
        guard target >= 0 else { throw Obstacle(errnoValue: errno) }
        defer { close(target) }
        do {
            try body(target)
            try keepBeside()
            guard unsafe rename(copy, path) == 0 else { throw Obstacle(errnoValue: errno) }
            try RecordingSegment.syncDirectory((path as NSString).deletingLastPathComponent)
        } catch {
            if try Self.status(path) != nil { unsafe unlink(copy) }
            throw error
        }
    }

    /// Gives the file a second name. Where files can have one name only, it has none until the copy takes it; should the power
    /// go just then, ``restore(_:)`` finds the copy.
    private func keepBeside() throws(Obstacle) {
        let aside = try freeName()
        if unsafe link(path, aside) == 0 { return }
        guard errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS else { throw Obstacle(errnoValue: errno) }
        guard unsafe rename(path, aside) == 0 else { throw Obstacle(errnoValue: errno) }
    }

    /// Renames the file, so that it is no longer taken for a recording. Nothing of it is lost.
    func putAside() throws {
        let aside = try freeName()
        guard unsafe rename(path, aside) == 0 else { throw Obstacle(errnoValue: errno) }
        try RecordingSegment.syncDirectory((path as NSString).deletingLastPathComponent)
    }

    private func freeName() throws(Obstacle) -> String {
        var name = path + Self.asideSuffix
        var number = 1
        while try Self.status(name) != nil {
            number += 1
            name = "\(path)\(Self.asideSuffix)-\(number)"
        }
        return name
    }

    /// Deals with a copy that was being made when the program stopped: removes it where the original is in its place, and puts it
    /// there where there is none, since a copy takes the name only when it is whole and synced.
    static func restore(_ copy: String) throws {
        let original = String(copy.dropLast(copySuffix.utf8.count))
        if try status(original) != nil {
            guard unsafe unlink(copy) == 0 else { throw Obstacle(errnoValue: errno) }
        } else {
            guard unsafe rename(copy, original) == 0 else { throw Obstacle(errnoValue: errno) }
        }
    }
}

extension RecordingRemains.Obstacle {
    /// Memory: the text of the error is the system's and is copied at once.
    init(errnoValue: Int32) {
        self.init(
            description: errnoValue == 0
                ? "it could not be read" : unsafe "\(String(cString: strerror(errnoValue))) (errno \(errnoValue))")
    }
}
