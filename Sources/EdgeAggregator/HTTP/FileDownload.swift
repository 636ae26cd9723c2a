import CEdgeSystem
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import TextParts

/// Hands out a file in pieces, whole or in part (RFC 9110 §14).
struct FileDownload: Sendable {
    let path: String
    let name: String
    let type: String

    private static let pieceBytes = 65_536

    /// Memory: the path and the status are borrowed for the calls. `handle` owns the descriptor.
    func answer(_ request: Request) async throws -> Response {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            return try Answer.problem(.notFound, "No sound", detail: "The file of \(name) is missing")
        }
        let handle = FileHandle(fileDescriptor: file, closeOnDealloc: true)
        var status = EdgeFileStatus()
        guard unsafe edge_fstat(file, &status) == 0 else {
            return try Answer.problem(.internalServerError, "No sound", detail: "The file of \(name) cannot be read")
        }
        let size = status.size_bytes
        var headers: HTTPFields = [
            .contentType: type, .acceptRanges: "bytes", .contentDisposition: "attachment; filename=\"\(name)\"",
        ]
        var range: Range<Int64> = 0..<size
        var answerStatus = HTTPResponse.Status.ok
        if let asked = request.headers[.range] {
            guard let part = Self.range(asked, size: size) else {
                headers[.contentRange] = "bytes */\(size)"
                return Response(status: .rangeNotSatisfiable, headers: headers)
            }
            range = part
            answerStatus = .partialContent
            headers[.contentRange] = "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(size)"
        }
        return Response(status: answerStatus, headers: headers, body: Self.body(handle, range))
    }

    /// A part of an open file, in pieces.
    ///
    /// Memory: the closure retains `handle`, which owns the descriptor; the room in `buffer` is the buffer's and is filled before the
    /// closure around it returns.
    static func body(_ handle: FileHandle, _ range: Range<Int64>) -> ResponseBody {
        ResponseBody(contentLength: range.count) { writer in
            var offset = range.lowerBound
            while offset < range.upperBound {
                let wanted = Int(min(Int64(pieceBytes), range.upperBound - offset))
                var buffer = ByteBufferAllocator().buffer(capacity: wanted)
                let count = unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: wanted) { bytes in
                    unsafe max(0, pread(handle.fileDescriptor, bytes.baseAddress, wanted, off_t(offset)))
                }
                guard count > 0 else { throw CancellationError() }
                offset += Int64(count)
                try await writer.write(buffer)
            }
            try await writer.finish(nil)
        }
    }

    /// The first range of a Range header that the file has; nil when there is none.
    static func range(_ header: String, size: Int64) -> Range<Int64>? {
        guard header.hasPrefix("bytes="), let first = header.dropFirst(6).parts(at: ",").first else {
            return nil
        }
        let ends = first.parts(at: "-", omittingEmpty: false)
        guard ends.count == 2 else { return nil }
        if ends[0].isEmpty {
            guard let last = Int64(ends[1]), last > 0, size > 0 else { return nil }
            return max(0, size - last)..<size
        }
        guard let from = Int64(ends[0]), from >= 0, from < size else { return nil }
        let to = ends[1].isEmpty ? size - 1 : Int64(ends[1]) ?? -1
        guard to >= from else { return nil }
        return from..<(min(to, size - 1) + 1)
    }
}
