import AudioDSP
import CEdgeSystem
import Foundation
import NIOCore

/// Takes the body of an upload to a file in the spool folder, in bounded memory.
struct UploadForm {
    struct Upload {
        let path: String
        let filename: String
        let container: RecordingContainer
        let listenerID: String?
        let bytes: Int64
    }

    /// A text field may be so long.
    static let mostFieldBytes = 1024

    private enum Part { case none, file, listener, other }

    private var parser: MultipartParser
    private let spoolFolder: String
    private let mostBytes: Int64
    private let permit: DiskPermit
    private let budget: SpoolBudget
    private let address: ClientAddress
    private var part = Part.none
    private var file: SpoolFile?
    private var filename: String?
    private var container: RecordingContainer?
    private var listener: [UInt8]?

    init(
        boundary: String, spoolFolder: String, mostBytes: Int64, permit: DiskPermit, budget: SpoolBudget,
        address: ClientAddress
    ) {
        parser = MultipartParser(boundary: boundary)
        self.spoolFolder = spoolFolder
        self.mostBytes = mostBytes
        self.permit = permit
        self.budget = budget
        self.address = address
    }

    mutating func consume(_ buffer: ByteBuffer) throws {
        var events: [MultipartParser.Event] = []
        try parser.consume(buffer.readableBytesView) { (event) throws(Never) in events.append(event) }
        for event in events {
            switch event {
            case .begin(let name, let filename): try begin(name: name, filename: filename)
            case .data(let data): try take(data)
            case .end: part = .none
            }
        }
    }

    /// The whole upload, synced to the disk.
    mutating func finish() throws -> Upload {
        guard parser.isFinished else { throw MultipartParser.Failure(code: .malformed) }
        guard let file, let filename, let container else { throw UploadRefusal.missingFile }
        try file.sync()
        let listenerID = listener.map { String(decoding: $0, as: UTF8.self) }.flatMap { $0.isEmpty ? nil : $0 }
        return Upload(
            path: file.path, filename: filename, container: container, listenerID: listenerID, bytes: file.bytes)
    }

    /// Removes what is left in the spool folder.
    mutating func discard() {
        file?.discard()
        file = nil
    }

    /// Moves a spooled file among the recordings, durably.
    ///
    /// Memory: the paths are borrowed for the calls.
    static func move(_ from: String, to path: String) throws(SegmentError) {
        let folder = (path as NSString).deletingLastPathComponent
        _ = try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        // A file of this name that nobody knows of is not replaced.
        var isMoved = unsafe edge_rename_new(from, path) == 0
        if !isMoved, errno == ENOENT {
            // The folder was empty and has just been removed.
            _ = try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            isMoved = unsafe edge_rename_new(from, path) == 0
        }
        guard isMoved else {
            throw SegmentError(.create, path: path, errnoValue: errno)
        }
        try RecordingSegment.syncDirectory(folder)
    }

    private mutating func begin(name: String, filename: String?) throws {
        switch (name, filename) {
        case ("file", let filename?):
            guard file == nil else {
                part = .other
                return
            }
            let suffix = (filename as NSString).pathExtension.lowercased()
            guard let container = RecordingContainer(rawValue: suffix) else { throw UploadRefusal.unsupportedType }
            self.container = container
            self.filename = (filename as NSString).lastPathComponent
            file = try SpoolFile(
                folder: spoolFolder, prefix: "upload", permit: permit, budget: budget, owner: address.text)
            part = .file
        case ("listener_id", _):
            listener = []
            part = .listener
        default:
            part = .other
        }
    }

    private mutating func take(_ data: ArraySlice<UInt8>) throws {
        switch part {
        case .none, .other: return
        case .listener:
            guard (listener?.count ?? 0) + data.count <= Self.mostFieldBytes else { throw UploadRefusal.badListenerID }
            listener?.append(contentsOf: data)
        case .file:
            guard let bytes = file?.bytes, bytes + Int64(data.count) <= mostBytes else {
                throw UploadRefusal.tooLarge(most: mostBytes)
            }
            do throws(SegmentError) {
                try file?.write(data)
            } catch {
                // The budget, not the disk.
                if error.errnoValue == EDQUOT { throw UploadRefusal.tooManyUnfinished }
                throw error
            }
        }
    }
}

/// What decoding a whole file tells of it. A file that cannot be decoded is refused.
struct AudioFacts {
    let encoding: String
    let channels: Int
    let sampleRate: Int
    let frames: Int64

    var durationNanoseconds: Int64 {
        PCMFormat.nanoseconds(frames: frames, sampleRate: sampleRate)
    }
}
