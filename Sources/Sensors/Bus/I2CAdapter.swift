import TextParts

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// An I2C bus of this machine: by number (`1`), by path (`/dev/i2c-1`), or by a part of the name that the kernel gives its
/// adapter (`bcm2835`), for numbers change when adapters come and go.
public struct I2CAdapter: Sendable, Hashable {
    public let text: String
    private static let files = KernelFiles(root: "")

    public init(_ text: String) {
        self.text = text
    }

    /// Where it is now; nil when no adapter has that name.
    public var path: String? {
        if text.hasPrefix("/") { return text }
        if !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) {
            return "/dev/i2c-\(text)"
        }
        return Self.all().first { $0.name.contains(text) }?.path
    }

    /// The adapters that may be used, with the kernel's names of them.
    public static func all() -> [(path: String, name: String)] {
        let folder = "/sys/class/i2c-dev"
        return files.names(folder).map { ("/dev/\($0)", files.line("\(folder)/\($0)/name") ?? "") }
    }

    public enum ResetError: Error, Sendable, Hashable, CustomStringConvertible {
        /// It hangs on no driver that could be bound anew.
        case noDriver
        case notPermitted(path: String)
        case failed(path: String, code: Int32)

        public var description: String {
            switch self {
            case .noDriver: "the bus has no driver that can be bound anew"
            case .notPermitted(let path): "\(path) may not be written: the bus can only be reset by root"
            case .failed(let path, let code): "\(path): the kernel says: error \(code)"
            }
        }
    }

    /// Takes the adapter's driver away and gives it back: the driver sets up its hardware anew. Nobody may have it open.
    /// It may take seconds.
    public func reset() throws(ResetError) {
        guard let path, let name = path.parts(at: "/").last else { throw .noDriver }
        // …/fe804000.i2c/i2c-1/i2c-dev/i2c-1: the driver belongs to the device above the adapter.
        guard let dev = Self.files.realPath("/sys/class/i2c-dev/\(name)") else { throw .noDriver }
        let device = dev.parts(at: "/").dropLast(3)
        guard let unit = device.last, let driver = Self.files.realPath("/\(device.joined(separator: "/"))/driver")
        else { throw .noDriver }
        for action in ["unbind", "bind"] {
            let file = "\(driver)/\(action)"
            guard Self.files.write(String(unit), to: file) else {
                throw errno == EACCES || errno == EPERM || errno == EROFS
                    ? .notPermitted(path: file) : .failed(path: file, code: errno)
            }
        }
    }
}
