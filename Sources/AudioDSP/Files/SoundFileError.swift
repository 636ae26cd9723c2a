#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A sound file could not be read or written.
public struct SoundFileError: Error, CustomStringConvertible {
    public enum Code: String, Sendable {
        case open = "the file is not one that can be read"
        case tooManyChannels = "it has more channels than are supported"
        case sampleRate = "its sample rate is not supported"
        case read = "it could not be read on"
        case write = "it could not be written"
        case tooLong = "it holds more sound than is allowed"
        case tooCostly = "it takes too long to decode"
        case cancelled = "it was not read to its end"
    }

    public let code: Code
    public let path: String
    public let reason: String
    /// Why the system did not let the file be read or written; 0 when what is wrong is its content.
    public let errnoValue: Int32

    init(code: Code, path: String, reason: String, errnoValue: Int32 = 0) {
        self.code = code
        self.path = path
        self.reason = reason
        self.errnoValue = errnoValue
    }

    /// Memory: the text of the error is the system's and is copied at once.
    init(code: Code, path: String, errnoValue: Int32) {
        self.init(code: code, path: path, reason: unsafe String(cString: strerror(errnoValue)), errnoValue: errnoValue)
    }

    public var description: String { "\(code.rawValue): \(reason)" }
}
