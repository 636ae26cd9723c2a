import EdgeTesting
import Testing

@testable import EdgeAggregator

/// The request's head and the chunked body, as RFC 9112 has them, cut at every place.
@Suite struct StreamWireTests {
    private func read(_ text: String, path: String = "/recordings_stream") -> StreamHead.Reading {
        StreamHead.read(Array(text.utf8).span, path: path)
    }

    private let stock =
        "POST /recordings_stream?listener_id=a%20b HTTP/1.1\r\nHost: box:8000\r\nTransfer-Encoding: chunked\r\n"
        + "Authorization: Basic aWQ6VA==\r\nX-Other: \t spaced \r\n\r\n"

    @Test func readsTheStockHead() {
        let head = StreamHead(
            query: "listener_id=a%20b", authorization: "Basic aWQ6VA==", pathToken: nil, expectsContinue: false,
            isMock: false)
        #expect(read(stock) == .stream(head, headBytes: stock.utf8.count))
        #expect(read(stock + "5\r\nhello") == .stream(head, headBytes: stock.utf8.count))
        for length in 1..<stock.utf8.count {
            #expect(
                read(String(decoding: stock.utf8.prefix(length), as: UTF8.self)) == .needMoreBytes, "cut at \(length)")
        }
    }

    @Test func readsATokenInThePathAndExpectations() {
        let text =
            "POST /t/secret/recordings_stream?listener_id=x HTTP/1.1\r\ntransfer-encoding: Chunked\r\n"
            + "Expect: 100-continue\r\nx-edge-mock: 1\r\nX-Forwarded-For: 203.0.113.6, 10.0.0.2\r\nx-forwarded-for: 10.0.0.3\r\n\r\n"
        let head = StreamHead(
            query: "listener_id=x", authorization: nil, pathToken: "secret", expectsContinue: true, isMock: true,
            forwardedFor: ["203.0.113.6, 10.0.0.2", "10.0.0.3"])
        #expect(read(text) == .stream(head, headBytes: text.utf8.count))
    }

    @Test(arguments: [
        "GET /recordings_stream HTTP/1.1\r\n\r\n",
        "POST /recordings_upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /recordings_stream HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /recordings_stream HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
        "POST /recordings_stream HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        "POST /recordings_stream HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "POST /recordings_stream HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /recordings_stream HTTP/1.1\r\nno field\r\n\r\n",
        "POST /recordings_stream HTTP/1.1\r\nA: b\r\n folded\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /t/a/b/recordings_stream HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST  /recordings_stream HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ])
    func leavesOtherRequestsToTheServer(text: String) {
        #expect(read(text) == .other)
    }

    @Test func givesUpOnAHeadWithoutEnd() {
        #expect(read("POST /" + String(repeating: "a", count: StreamHead.longestBytes)) == .other)
    }

    private func decode(_ wire: [UInt8], cutEvery step: Int) throws -> (bytes: [UInt8], isFinished: Bool) {
        var body = ChunkedBody()
        var found: [UInt8] = []
        for start in stride(from: 0, to: wire.count, by: step) {
            let piece = wire[start..<min(wire.count, start + step)]
            try body.decode(piece.span) { found += piece.dropFirst($0.lowerBound).prefix($0.count) }
        }
        return (found, body.isFinished)
    }

    @Test func decodesChunksHoweverTheyAreCut() throws {
        let first = WireMaker.ramp(from: 0, samples: 100)
        let second = WireMaker.ramp(from: 100, samples: 1)
        // RFC 9112 §7.1.1 and §7.1.2: an extension, and a trailer.
        let wire =
            WireMaker.chunk(first) + Array("2;name=\"v\"\r\n".utf8) + second + Array("\r\n".utf8)
            + Array("000\r\nTrailer: x\r\n\r\nGET".utf8)
        for step in 1...wire.count {
            let result = try decode(wire, cutEvery: step)
            #expect(result.bytes == first + second, "cut every \(step)")
            #expect(result.isFinished)
        }
        #expect(try !decode(Array(wire.dropLast(5)), cutEvery: 7).isFinished)
    }

    @Test(arguments: [
        "\r\n", "g\r\n", "5\n", "5\r\nhelloX", "5\r\nhello\rX", "ffffffffffffffff\r\n", " 5\r\n", "-1\r\n",
    ])
    func refusesWhatIsNotChunked(text: String) {
        #expect(throws: ChunkedBody.Malformed.self) { try decode(Array(text.utf8), cutEvery: 3) }
    }

    @Test func boundsExtensionsAndTrailers() {
        let long = String(repeating: "x", count: ChunkedBody.longestLineBytes + 1)
        #expect(throws: ChunkedBody.Malformed.self) { try decode(Array("5;\(long)".utf8), cutEvery: 100) }
        #expect(throws: ChunkedBody.Malformed.self) { try decode(Array("0\r\n\(long)".utf8), cutEvery: 100) }
    }
}
