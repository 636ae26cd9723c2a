import CNetCDF

/// A NetCDF file could not be read or written.
public struct NetCDFError: Error, Sendable, Equatable, CustomStringConvertible {
    public let path: String
    public let reason: String

    public var description: String { "\(path): \(reason)" }

    static func check(_ status: Int32, _ path: String) throws(NetCDFError) {
        guard status != NC_NOERR else { return }
        // Memory: the text is a constant of the library, or of libc until the thread's next `strerror`; it is copied.
        throw unsafe NetCDFError(path: path, reason: String(cString: nc_strerror(status)))
    }
}
