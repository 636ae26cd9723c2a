import Foundation
import GRDB

/// The store could not do what was asked.
public struct StoreError: Error, CustomStringConvertible {
    public enum Code: String, Sendable {
        case open = "the database could not be opened"
        case diskFull = "there is no room for the database"
        case overloaded = "too many changes wait to be written"
        case closed = "the database is closed"
        case failed = "the database refused"
    }

    public let code: Code
    public let reason: String
    /// SQLite's extended result code, 0 if none.
    public let resultCode: Int32

    public init(_ code: Code, reason: String, resultCode: Int32 = 0) {
        self.code = code
        self.reason = reason
        self.resultCode = resultCode
    }

    init(_ error: any Error, code: Code = .failed) {
        if let error = error as? StoreError {
            self = error
        } else if let error = error as? DatabaseError {
            self.init(
                error.resultCode == .SQLITE_FULL ? .diskFull : code, reason: error.description,
                resultCode: error.extendedResultCode.rawValue)
        } else {
            self.init(code, reason: "\(error)")
        }
    }

    public var description: String { "\(code.rawValue): \(reason)" }
}
