import CEdgeSystem
import Foundation

/// A file that is made while it comes in, under a name of its own, and is moved to its place when it is whole.
struct SpoolFile {
    let path: String
    private(set) var bytes: Int64 = 0
    private var descriptor: Int32

    /// Memory: the template is this function's and borrowed for the call, which writes the name into it; the path is a copy.
    init(folder: String, prefix: String) throws(SegmentError) {
        var template = Array("\(folder)/\(prefix)-XXXXXX".utf8CString)
        descriptor = unsafe template.withUnsafeMutableBufferPointer { unsafe edge_make_temporary($0.baseAddress) }
        path = unsafe template.withUnsafeBufferPointer {
            unsafe $0.baseAddress.map { unsafe String(cString: $0) } ?? ""
        }
        guard descriptor >= 0 else { throw SegmentError(.create, path: path, errnoValue: errno) }
        fchmod(descriptor, 0o644)
    }

    /// Memory: the bytes are the caller's and borrowed for each call.
    mutating func write(_ data: ArraySlice<UInt8>) throws(SegmentError) {
        var rest = data
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw SegmentError(.write, path: path, errnoValue: count < 0 ? errno : ENOSPC)
            }
            rest = rest.dropFirst(count)
        }
        bytes += Int64(data.count)
    }

    func sync() throws(SegmentError) {
        guard fsync(descriptor) == 0 else { throw SegmentError(.sync, path: path, errnoValue: errno) }
    }

    /// Removes it, unless it was moved away.
    ///
    /// Memory: the path is borrowed for the call.
    mutating func discard() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
        unsafe unlink(path)
    }
}
