import TextParts

/// Takes a multipart/form-data body apart while it arrives (RFC 7578, RFC 2046 §5.1).
///
/// A value type without input or output. It keeps at most one delimiter and ``headerLimitBytes`` in memory, whatever
/// the body holds.
struct MultipartParser: Sendable {
    /// The headers of one part may be so long.
    static let headerLimitBytes = 16 << 10
    static let mostParts = 64

    struct Failure: Error, CustomStringConvertible, Equatable {
        enum Code: String, Sendable {
            case headersTooLong = "the headers of a part are too long"
            case tooManyParts = "there are too many parts"
            case malformed = "the body is not multipart/form-data with the boundary that its header names"
        }
        let code: Code
        var description: String { code.rawValue }
    }

    enum Event: Equatable {
        /// `name` is empty when the part has none.
        case begin(name: String, filename: String?)
        case data(ArraySlice<UInt8>)
        case end
    }

    private enum State { case preamble, headers, data, finished }

    /// `\r\n--boundary`
    private let delimiter: [UInt8]
    private var state = State.preamble
    private var buffer: [UInt8]
    private var parts = 0

    init(boundary: String) {
        delimiter = Array("\r\n--\(boundary)".utf8)
        // The first delimiter has no line before it.
        buffer = [0x0D, 0x0A]
    }

    /// The boundary of a Content-Type, nil when it is not multipart/form-data with one.
    static func boundary(contentType: String) -> String? {
        let pieces = contentType.parts(at: ";")
        guard let type = pieces.first, type.trimmed.lowercased() == "multipart/form-data" else { return nil }
        for piece in pieces.dropFirst() {
            let pair = piece.parts(at: "=", maximumSplits: 1)
            guard pair.count == 2, pair[0].trimmed.lowercased() == "boundary" else { continue }
            var value = pair[1].trimmed
            if value.utf8.first == 0x22, value.utf8.last == 0x22, value.utf8.count >= 2 {
                value = Substring(value.utf8.dropFirst().dropLast())
            }
            return (1...200).contains(value.utf8.count) ? String(value) : nil
        }
        return nil
    }

    /// Whether the last delimiter has been seen.
    var isFinished: Bool { state == .finished }

    mutating func consume<Thrown: Error>(
        _ bytes: some Collection<UInt8>, _ emit: (Event) throws(Thrown) -> Void
    ) throws {
        guard state != .finished else { return }
        buffer.append(contentsOf: bytes)
        while try step(emit) {}
        if state == .headers, buffer.count > Self.headerLimitBytes { throw Failure(code: .headersTooLong) }
    }

    /// Does what can be done with the buffer; false when more bytes are needed.
    private mutating func step<Thrown: Error>(_ emit: (Event) throws(Thrown) -> Void) throws -> Bool {
        switch state {
        case .finished:
            buffer = []
            return false
        case .preamble, .data:
            guard let start = buffer.firstIndex(of: delimiter) else {
                let keep = min(buffer.count, delimiter.count - 1)
                try pass(upTo: buffer.count - keep, emit)
                return false
            }
            // What follows the delimiter says whether it is the last: `--`, or white space and the line's end.
            let after = start + delimiter.count
            guard buffer.count >= after + 2 else {
                try pass(upTo: start, emit)
                return false
            }
            try pass(upTo: start, emit)
            let rest = delimiter.count
            if buffer[rest] == UInt8(ascii: "-"), buffer[rest + 1] == UInt8(ascii: "-") {
                if state == .data { try emit(.end) }
                state = .finished
                buffer = []
                return false
            }
            guard let lineEnd = buffer[rest...].firstIndex(of: 0x0A) else {
                if buffer.count - rest > 256 { throw Failure(code: .malformed) }
                return false
            }
            if state == .data { try emit(.end) }
            parts += 1
            if parts > Self.mostParts { throw Failure(code: .tooManyParts) }
            buffer.removeFirst(lineEnd + 1)
            // An empty header block begins with the line end that separates it.
            state = .headers
            return true
        case .headers:
            let end: Int
            if buffer.starts(with: [0x0D, 0x0A]) {
                end = 0
                buffer.removeFirst(2)
                try emit(.begin(name: "", filename: nil))
            } else {
                guard let found = buffer.firstIndex(of: [0x0D, 0x0A, 0x0D, 0x0A]) else { return false }
                end = found + 4
                try emit(Self.begin(headers: String(decoding: buffer[..<found], as: UTF8.self)))
            }
            buffer.removeFirst(end)
            state = .data
            return true
        }
    }

    private mutating func pass<Thrown: Error>(upTo count: Int, _ emit: (Event) throws(Thrown) -> Void) throws {
        guard count > 0 else { return }
        if state == .data { try emit(.data(buffer[..<count])) }
        buffer.removeFirst(count)
    }

    private static func begin(headers: String) -> Event {
        for line in headers.parts(atText: "\r\n") {
            let pair = line.parts(at: ":", maximumSplits: 1)
            guard pair.count == 2, pair[0].trimmed.lowercased() == "content-disposition" else { continue }
            let fields = parameters(of: pair[1])
            return .begin(name: fields["name"] ?? "", filename: fields["filename"])
        }
        return .begin(name: "", filename: nil)
    }

    /// `form-data; name="file"; filename="a;b.wav"`: quoted values may hold separators, and `\"`.
    static func parameters(of value: some StringProtocol) -> [String: String] {
        var fields: [String: String] = [:]
        var name = String.UnicodeScalarView()
        var text = String.UnicodeScalarView()
        var isQuoted = false
        var isEscaped = false
        var isValue = false
        func keep() {
            let key = String(name).lowercased().words().joined()
            if isValue, fields[key] == nil { fields[key] = String(text) }
        }
        for scalar in value.unicodeScalars {
            if isEscaped {
                text.append(scalar)
                isEscaped = false
            } else if isQuoted, scalar == "\\" {
                isEscaped = true
            } else if scalar == "\"" {
                isQuoted.toggle()
            } else if scalar == ";", !isQuoted {
                keep()
                (name, text, isValue) = (String.UnicodeScalarView(), String.UnicodeScalarView(), false)
            } else if scalar == "=", !isValue {
                isValue = true
            } else if isValue {
                text.append(scalar)
            } else {
                name.append(scalar)
            }
        }
        keep()
        return fields
    }
}

extension [UInt8] {
    /// Where `pattern` first occurs.
    ///
    /// Memory: the bytes are this array's and borrowed within the closure, which returns an index.
    fileprivate func firstIndex(of pattern: [UInt8]) -> Int? {
        guard let first = pattern.first, count >= pattern.count else { return nil }
        return unsafe withUnsafeBufferPointer { bytes in
            var from = 0
            while from <= bytes.count - pattern.count {
                guard
                    let hit = unsafe UnsafeBufferPointer(rebasing: bytes[from...(bytes.count - pattern.count)])
                        .firstIndex(of: first)
                else { return nil }
                let start = from + hit
                if unsafe bytes[start..<(start + pattern.count)].elementsEqual(pattern) { return start }
                from = start + 1
            }
            return nil
        }
    }
}
