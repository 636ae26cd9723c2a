import CCurl
import Foundation

/// One exchange, while libcurl has it. Used by the transport's thread alone, but for its making.
///
/// Memory: this object owns `handle`, `list` and `errorText` and frees them in `deinit`, the handle first, since libcurl keeps
/// the addresses of the other two. The transport takes the handle out of the multi handle before it releases this object.
@safe final class CurlTransfer: @unchecked Sendable {
    typealias Completion = @Sendable (Result<OutgoingAnswer, TransportError>) -> Void

    let number: UInt64
    let handle: UnsafeMutableRawPointer
    private let request: OutgoingRequest
    private let completion: Completion
    private var list: UnsafeMutablePointer<curl_slist>?
    private var answer: [UInt8] = []
    private var headers: [String: String] = [:]
    private var sent: Int64 = 0
    private var descriptor: Int32 = -1
    private var readError: Int32 = 0
    private let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))

    /// Nil when libcurl has no memory.
    init?(number: UInt64, request: OutgoingRequest, completion: @escaping Completion) {
        guard let handle = unsafe curl_easy_init() else { return nil }
        self.number = number
        unsafe self.handle = handle
        self.request = request
        self.completion = completion
        unsafe errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
        unsafe curl_easy_cleanup(handle)
        unsafe curl_slist_free_all(list)
        if descriptor >= 0 { close(descriptor) }
        unsafe errorText.deallocate()
    }

    /// Tells libcurl everything. What is wrong with the request is thrown.
    ///
    /// Memory: libcurl copies every text during the call. It keeps the addresses of `errorText` and of `list`, which live as
    /// long as the handle, and that of this object for `CURLOPT_PRIVATE`: the transport retains the object while the handle is
    /// in the multi handle, and libcurl only hands the address back.
    func prepare() throws(TransportError) {
        let options = request.options
        unsafe edge_curl_set_pointer(handle, CURLOPT_ERRORBUFFER, errorText)
        unsafe edge_curl_set_pointer(handle, CURLOPT_PRIVATE, Unmanaged.passUnretained(self).toOpaque())
        unsafe edge_curl_set_long(handle, CURLOPT_NOSIGNAL, 1)
        guard unsafe edge_curl_set_text(handle, CURLOPT_URL, request.url) == CURLE_OK else {
            throw TransportError(.badRequest, "`\(request.place)` is not an address")
        }
        unsafe edge_curl_set_text(handle, CURLOPT_PROTOCOLS_STR, "http,https")
        unsafe edge_curl_set_long(handle, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_2TLS))
        unsafe edge_curl_set_long(handle, CURLOPT_CONNECTTIMEOUT, options.connectTimeoutSeconds)
        unsafe edge_curl_set_long(handle, CURLOPT_LOW_SPEED_LIMIT, 1)
        unsafe edge_curl_set_long(handle, CURLOPT_LOW_SPEED_TIME, options.stallTimeoutSeconds)
        unsafe edge_curl_set_long(handle, CURLOPT_TIMEOUT, options.totalTimeoutSeconds)
        unsafe edge_curl_set_long(handle, CURLOPT_TCP_KEEPALIVE, 1)
        unsafe edge_curl_set_long(handle, CURLOPT_UPLOAD_BUFFERSIZE, 256 << 10)
        if !options.certificateFile.isEmpty {
            unsafe edge_curl_set_text(handle, CURLOPT_CAINFO, options.certificateFile)
        }
        if !options.proxy.isEmpty { unsafe edge_curl_set_text(handle, CURLOPT_PROXY, options.proxy) }
        if options.mostBytesPerSecond > 0 {
            unsafe edge_curl_set_offset(handle, CURLOPT_MAX_SEND_SPEED_LARGE, curl_off_t(options.mostBytesPerSecond))
        }
        try setBody()
        // `Expect: 100-continue` costs a round trip, and some servers a second.
        var fields = ["Expect:"]
        for (name, value) in request.headers { fields.append(value.isEmpty ? "\(name);" : "\(name): \(value)") }
        for field in fields {
            guard !field.utf8.contains(where: { $0 == 0x0D || $0 == 0x0A }) else {
                throw TransportError(.badRequest, "a header holds a line break")
            }
            unsafe list = curl_slist_append(list, field)
        }
        unsafe edge_curl_set_list(handle, CURLOPT_HTTPHEADER, list)
        setCallbacks()
    }

    /// Memory: the path and the method are borrowed for the call. No address of the body is given to libcurl, which asks for
    /// its bytes through `send`.
    private func setBody() throws(TransportError) {
        switch request.body {
        case .none:
            if request.method == "HEAD" { unsafe edge_curl_set_long(handle, CURLOPT_NOBODY, 1) }
        case .bytes, .file:
            unsafe edge_curl_set_long(handle, CURLOPT_UPLOAD, 1)
            unsafe edge_curl_set_offset(handle, CURLOPT_INFILESIZE_LARGE, curl_off_t(request.body.count))
        }
        if case .file(let path, _, _) = request.body {
            descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else {
                throw TransportError(.badRequest, unsafe "\(path) cannot be read: \(String(cString: strerror(errno)))")
            }
        }
        if request.method != "HEAD" { unsafe edge_curl_set_text(handle, CURLOPT_CUSTOMREQUEST, request.method) }
    }

    /// Memory: `context` is this object, unretained. libcurl uses it only while the handle is in the multi handle, and for that
    /// time the transport retains the object. The bytes given to a callback are libcurl's and valid until the callback returns.
    private func setCallbacks() {
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe edge_curl_set_bytes_function(handle, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
            guard let bytes = unsafe bytes, let context = unsafe context else { return 0 }
            return unsafe Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
                .receive(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
        unsafe edge_curl_set_pointer(handle, CURLOPT_WRITEDATA, context)
        unsafe edge_curl_set_bytes_function(handle, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
            guard let bytes = unsafe bytes, let context = unsafe context else { return 0 }
            unsafe Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
                .receiveHeader(UnsafeRawBufferPointer(start: bytes, count: size * count))
            return size * count
        }
        unsafe edge_curl_set_pointer(handle, CURLOPT_HEADERDATA, context)
        unsafe edge_curl_set_bytes_function(handle, CURLOPT_READFUNCTION) { bytes, size, count, context in
            guard let bytes = unsafe bytes, let context = unsafe context else { return 0 }
            return unsafe Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
                .send(UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
        }
        unsafe edge_curl_set_pointer(handle, CURLOPT_READDATA, context)
        unsafe edge_curl_set_seek_function(handle) { context, offset, origin in
            guard let context = unsafe context, origin == SEEK_SET else { return Int32(CURL_SEEKFUNC_CANTSEEK) }
            unsafe Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue().sent = Int64(offset)
            return Int32(CURL_SEEKFUNC_OK)
        }
        unsafe edge_curl_set_pointer(handle, CURLOPT_SEEKDATA, context)
    }

    // MARK: - While it goes on

    /// Memory: `bytes` are libcurl's during this call; what is kept of them is copied.
    private func receive(_ bytes: UnsafeRawBufferPointer) -> Int {
        let room = request.options.mostAnswerBytes - answer.count
        unsafe answer.append(contentsOf: bytes.prefix(max(0, room)))
        // Less than came ends the transfer.
        return bytes.count > room && request.options.takesParts ? 0 : bytes.count
    }

    /// Memory: `bytes` are libcurl's during this call; the line is a copy.
    private func receiveHeader(_ bytes: UnsafeRawBufferPointer) {
        let line = unsafe String(decoding: bytes, as: UTF8.self)
        if line.hasPrefix("HTTP/") {
            // A new answer begins: `100 Continue` and a proxy's greeting come before the one that counts.
            headers = [:]
            return
        }
        guard headers.count < 200, let colon = line.utf8.firstIndex(of: UInt8(ascii: ":")) else { return }
        let name = line[..<colon].lowercased()
        headers[name] = line[line.utf8.index(after: colon)...].trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Memory: `room` is libcurl's during this call, and is filled in it.
    private func send(_ room: UnsafeMutableRawBufferPointer) -> Int {
        let wanted = min(room.count, Int(clamping: request.body.count - sent))
        guard wanted > 0 else { return 0 }
        switch request.body {
        case .none: return 0
        case .bytes(let bytes):
            let start = Int(sent)
            unsafe bytes.withUnsafeBytes {
                unsafe room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[start..<(start + wanted)]))
            }
            sent += Int64(wanted)
            return wanted
        case .file(_, let offset, _):
            let count = unsafe pread(descriptor, room.baseAddress, wanted, off_t(offset + sent))
            guard count > 0 else {
                readError = count < 0 ? errno : EIO
                return Int(CURL_READFUNC_ABORT)
            }
            sent += Int64(count)
            return count
        }
    }

    // MARK: - The end

    /// Memory: the handle is this object's; only a number is read from it.
    func finish(_ code: CURLcode) {
        let status = unsafe edge_curl_response_code(handle)
        guard code == CURLE_OK else {
            let error = error(code)
            if request.options.takesParts, status > 0, !answer.isEmpty {
                completion(
                    .success(OutgoingAnswer(status: status, headers: headers, body: answer, cut: error.reason)))
            } else {
                completion(.failure(error))
            }
            return
        }
        completion(.success(OutgoingAnswer(status: status, headers: headers, body: answer)))
    }

    func fail(_ error: TransportError) {
        completion(.failure(error))
    }

    /// Memory: `errorText` is this object's; `strerror` and `curl_easy_strerror` return the libraries' own texts. All are copied
    /// at once.
    private func error(_ code: CURLcode) -> TransportError {
        if readError != 0, case .file(let path, _, _) = request.body {
            return TransportError(.badRequest, unsafe "\(path) cannot be read: \(String(cString: strerror(readError)))")
        }
        let detail = unsafe String(cString: errorText)
        let text = unsafe detail.isEmpty ? String(cString: curl_easy_strerror(code)) : detail
        let kind: TransportError.Code =
            switch code {
            case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: .nameNotFound
            case CURLE_COULDNT_CONNECT: .connectionFailed
            case CURLE_OPERATION_TIMEDOUT: .timeout
            case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CACERT_BADFILE,
                CURLE_SSL_CERTPROBLEM:
                .tls
            case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL: .badRequest
            default: .cut
            }
        return TransportError(kind, "\(text) (\(request.place))")
    }
}
