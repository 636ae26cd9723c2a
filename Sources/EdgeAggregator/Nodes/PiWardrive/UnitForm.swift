import FieldNodes
import Foundation
import NIOCore

/// Takes the body of a unit's upload to a file, in bounded memory: a form with a part `file`.
struct UnitForm {
    enum Refusal: Error, Equatable {
        case missingFile
        /// `file` is there, and is no file.
        case plainField
        case badName(String)
        case tooLarge
    }

    private var parser: MultipartParser
    private let mostBytes: Int64
    private let spool: UploadSpool
    private(set) var file: SpoolFile?
    private(set) var filename = ""
    private var isInFile = false
    private var hasPlainField = false

    init(boundary: String, spool: UploadSpool, mostBytes: Int64) {
        parser = MultipartParser(boundary: boundary)
        self.spool = spool
        self.mostBytes = mostBytes
    }

    mutating func consume(_ buffer: ByteBuffer) throws {
        var events: [MultipartParser.Event] = []
        try parser.consume(buffer.readableBytesView) { (event) throws(Never) in events.append(event) }
        for event in events {
            switch event {
            case .begin(let name, let filename): try begin(name, filename)
            case .data(let data):
                guard isInFile, let bytes = file?.bytes else { continue }
                guard bytes + Int64(data.count) <= mostBytes else { throw Refusal.tooLarge }
                try file?.write(data)
            case .end: isInFile = false
            }
        }
    }

    private mutating func begin(_ name: String, _ filename: String?) throws {
        guard name == "file" else { return }
        guard let filename else {
            hasPlainField = true
            return
        }
        guard file == nil else { return }
        guard Self.isName(filename) else { throw Refusal.badName(filename) }
        self.filename = filename
        file = try spool.begin()
        isInFile = true
    }

    /// The former service takes `^[\w.-]+$` without a folder; `.` and `..` are folders.
    static func isName(_ name: String) -> Bool {
        (1...255).contains(name.utf8.count) && name != "." && name != ".."
            && name.unicodeScalars.allSatisfy { scalar in
                scalar == "." || scalar == "-" || scalar == "_" || scalar.properties.isAlphabetic
                    || scalar.properties.numericType != nil
            }
    }

    /// The whole file, synced.
    mutating func finish() throws -> SpoolFile {
        guard parser.isFinished else { throw MultipartParser.Failure(code: .malformed) }
        guard let file else { throw hasPlainField ? Refusal.plainField : Refusal.missingFile }
        try file.sync()
        return file
    }

    mutating func discard() {
        file?.discard()
        file = nil
    }
}
