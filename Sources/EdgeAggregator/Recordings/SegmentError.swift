import Foundation

/// A recording's file could not be made, written or synced.
struct SegmentError: Error, CustomStringConvertible {
    enum Code: String, Sendable {
        case diskFull = "the disk is full"
        case create = "the file could not be created"
        case write = "the file could not be written"
        case sync = "the file could not be synced"
    }

    let code: Code
    let path: String
    /// The number that the kernel gave.
    let errnoValue: Int32

    init(_ code: Code, path: String, errnoValue: Int32) {
        let isFull = errnoValue == ENOSPC || errnoValue == EDQUOT
        self.code = isFull ? .diskFull : code
        self.path = path
        self.errnoValue = errnoValue
    }

    /// Memory: the text of the error is the system's and is copied at once.
    var description: String {
        unsafe "\(code.rawValue): \(path): \(String(cString: strerror(errnoValue))) (errno \(errnoValue))"
    }
}
