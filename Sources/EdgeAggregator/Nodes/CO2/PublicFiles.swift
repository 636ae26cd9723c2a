import CEdgeSystem
import Foundation
import HTTPTypes
import Hummingbird
import TextParts

/// Files that the operator puts into `var/pub/`, such as maps and tables, under the addresses of the replaced server.
///
/// Only plain files below the folder are served. For hidden names, folders, devices, and links that lead out of the folder the answer is
/// 404.
struct PublicFiles: Sendable {
    let folder: String
    /// For looking up and opening files, which waits for the disk.
    let executor: IngestExecutor

    /// A larger file is answered 403.
    static let maximumBytes: Int64 = 1 << 30
    private static let maximumParts = 8
    private static let maximumNameBytes = 255

    private static let types: [String: String] = [
        "html": "text/html; charset=utf-8", "htm": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8", "mjs": "text/javascript; charset=utf-8",
        "txt": "text/plain; charset=utf-8", "log": "text/plain; charset=utf-8", "md": "text/markdown; charset=utf-8",
        "csv": "text/csv; charset=utf-8", "tsv": "text/tab-separated-values; charset=utf-8",
        "json": "application/json", "geojson": "application/geo+json", "xml": "application/xml",
        "kml": "application/vnd.google-earth.kml+xml", "kmz": "application/vnd.google-earth.kmz",
        "svg": "image/svg+xml", "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif",
        "webp": "image/webp", "ico": "image/vnd.microsoft.icon", "pdf": "application/pdf", "zip": "application/zip",
        "gz": "application/gzip", "woff": "font/woff", "woff2": "font/woff2", "mp4": "video/mp4", "webm": "video/webm",
        "wav": "audio/wav",
    ]

    // MARK: - Names

    /// The names in a path below the folder, decoded. Nil if one of them is hidden or not a name.
    ///
    /// - Parameter path: As it stands in the request, without the prefix.
    static func names(_ path: some StringProtocol) -> [String]? {
        let parts = Substring(path).parts(at: "/", omittingEmpty: false)
        guard (1...maximumParts).contains(parts.count) else { return nil }
        let names = parts.compactMap { String($0).removingPercentEncoding }.filter(isVisible)
        return names.count == parts.count ? names : nil
    }

    private static func isVisible(_ name: String) -> Bool {
        (1...maximumNameBytes).contains(name.utf8.count) && name.utf8.first != UInt8(ascii: ".")
            && name.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "\\") }
    }

    static func type(_ name: String) -> String {
        let ending = name.halves(atLast: ".").map { $0.after.lowercased() } ?? ""
        return types[ending] ?? "application/octet-stream"
    }

    // MARK: - Files

    struct OpenFile: Sendable {
        let handle: FileHandle
        let bytes: Int64
        /// UTC.
        let modifiedNanoseconds: Int64

        var etag: String { "\"\(String(modifiedNanoseconds, radix: 16))-\(String(bytes, radix: 16))\"" }
    }

    /// Nil when nothing is served under the names.
    ///
    /// Memory: the path and the status are borrowed for the calls. The handle owns the descriptor.
    func open(_ names: [String]) -> OpenFile? {
        guard let root = Self.resolved(folder), let path = Self.resolved(([folder] + names).joined(separator: "/")),
            path.begins(with: root + "/")
        else { return nil }
        // A link may lead to a hidden file, or into a hidden folder.
        let rest = Substring(path.utf8.dropFirst(root.utf8.count + 1))
        guard rest.parts(at: "/", omittingEmpty: false).allSatisfy({ Self.isVisible(String($0)) }) else { return nil }
        var status = EdgeFileStatus()
        // Opening a device may do something.
        guard unsafe edge_lstat(path, &status) == 0, status.isFile else { return nil }
        let descriptor = unsafe Foundation.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        guard unsafe edge_fstat(descriptor, &status) == 0, status.isFile else { return nil }
        return OpenFile(handle: handle, bytes: status.size_bytes, modifiedNanoseconds: status.modified_ns)
    }

    /// A path without links; nil when there is nothing.
    ///
    /// Memory: realpath(3) allocates the text, which is copied and freed here.
    private static func resolved(_ path: String) -> String? {
        guard let text = unsafe realpath(path, nil) else { return nil }
        defer { unsafe free(text) }
        return unsafe String(cString: text)
    }

    // MARK: - Answers

    /// Nil when nothing is served under the names.
    ///
    /// - Parameter seconds: How long browsers may keep it.
    func answer(_ names: [String], _ request: Request, seconds: Int) async -> Response? {
        guard let file = await withTaskExecutorPreference(executor, operation: { open(names) }) else { return nil }
        guard file.bytes <= Self.maximumBytes else {
            return Answer.text(
                "The file has more than \(Self.maximumBytes) bytes\n", type: "text/plain; charset=utf-8",
                status: .forbidden)
        }
        var headers: HTTPFields = [
            .contentType: Self.type(names.last ?? ""), .cacheControl: "public, max-age=\(seconds)", .eTag: file.etag,
            .lastModified: Self.httpDate(file.modifiedNanoseconds), .acceptRanges: "bytes",
        ]
        if Self.isUnchanged(request.headers, headers) {
            headers[.contentType] = nil
            return Response(status: .notModified, headers: headers)
        }
        var range: Range<Int64> = 0..<file.bytes
        var status = HTTPResponse.Status.ok
        if request.method == .get, let asked = request.headers[.range],
            request.headers[.ifRange].map({ $0 == file.etag }) ?? true
        {
            guard let part = FileDownload.range(asked, size: file.bytes) else {
                headers[.contentRange] = "bytes */\(file.bytes)"
                return Response(status: .rangeNotSatisfiable, headers: headers)
            }
            range = part
            status = .partialContent
            headers[.contentRange] = "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(file.bytes)"
        }
        return Response(status: status, headers: headers, body: FileDownload.body(file.handle, range))
    }

    /// Whether the client has this version (RFC 9110 §13.1.2 and §13.1.3). A time must be the very one that it was told.
    private static func isUnchanged(_ asked: HTTPFields, _ answer: HTTPFields) -> Bool {
        guard let known = asked[.ifNoneMatch] else {
            return asked[.ifModifiedSince].map { $0 == answer[.lastModified] } ?? false
        }
        return known.parts(at: ",").map(\.trimmed).contains { tag in
            tag == "*" || String(tag.begins(with: "W/") ? tag.dropFirst(2) : tag) == answer[.eTag]
        }
    }

    /// `Sat, 21 Nov 2026 01:27:44 GMT` (RFC 9110 §5.6.7).
    static func httpDate(_ nanoseconds: Int64) -> String {
        // `2026-11-21T01:27:44.750Z`
        let text = Array(ISOTime.text(nanoseconds).utf8)
        func part(_ range: Range<Int>) -> String { String(decoding: text[range], as: UTF8.self) }
        // 1970 began on a Thursday.
        let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let days = Int(nanoseconds.flooredDivision(by: 86_400_000_000_000))
        let month = Int(part(5..<7)) ?? 1
        return
            "\(weekdays[(days % 7 + 7) % 7]), \(part(8..<10)) \(months[month - 1]) \(part(0..<4)) \(part(11..<19)) GMT"
    }
}
