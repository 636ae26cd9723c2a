import EdgeTesting
import Testing

@testable import EdgeAggregator

@Suite struct MultipartParserTests {
    struct Part: Equatable {
        var name: String
        var filename: String?
        var data: [UInt8] = []
        var isWhole = false
    }

    private func parse(_ body: [UInt8], boundary: String, pieces: () -> Int) throws -> (parts: [Part], isFinished: Bool)
    {
        var parser = MultipartParser(boundary: boundary)
        var parts: [Part] = []
        var rest = body[...]
        while !rest.isEmpty {
            let piece = rest.prefix(pieces())
            rest = rest.dropFirst(piece.count)
            try parser.consume(piece) { (event) throws(Never) in
                switch event {
                case .begin(let name, let filename): parts.append(Part(name: name, filename: filename))
                case .data(let data): parts[parts.count - 1].data += data
                case .end: parts[parts.count - 1].isWhole = true
                }
            }
        }
        return (parts, parser.isFinished)
    }

    @Test func findsThePartsHoweverTheBodyIsCut() throws {
        var random = SeededGenerator()
        for _ in 0..<300 {
            let boundary = "b\(UInt32.random(in: 0...UInt32.max, using: &random))"
            var wanted: [Part] = []
            var body: [UInt8] = []
            for number in 0..<Int.random(in: 1...4, using: &random) {
                var data = random.bytes(Int.random(in: 0...600, using: &random))
                // Beginnings of the delimiter inside the data must not end it.
                if number == 0 { data += Array("\r\n--b\r\n-".utf8) }
                wanted.append(
                    Part(name: "n\(number)", filename: number % 2 == 0 ? "f \"x\".wav" : nil, data: data, isWhole: true)
                )
                let filename = number % 2 == 0 ? "; filename=\"f \\\"x\\\".wav\"" : ""
                body += Array(
                    "--\(boundary)\r\nContent-Disposition: form-data; name=\"n\(number)\"\(filename)\r\n\r\n".utf8)
                body += data + [13, 10]
            }
            body += Array("--\(boundary)--\r\n".utf8)
            let cut = try parse(body, boundary: boundary) { Int.random(in: 1...50, using: &random) }
            #expect(cut.parts == wanted && cut.isFinished)
        }
    }

    @Test func isNotFinishedByABodyThatIsCutOff() throws {
        let body = Array("--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nabc\r\n--b".utf8)
        let result = try parse(body, boundary: "b") { 7 }
        #expect(!result.isFinished)
        #expect(result.parts == [Part(name: "file", filename: nil, data: Array("abc".utf8))])
    }

    @Test func boundsHeadersAndParts() {
        let long = Array("--b\r\nX: \(String(repeating: "y", count: 20_000))".utf8)
        #expect(throws: MultipartParser.Failure(code: .headersTooLong)) { try parse(long, boundary: "b") { 4096 } }
        let many = (0..<70).flatMap { _ in Array("--b\r\nX: y\r\n\r\n\r\n".utf8) }
        #expect(throws: MultipartParser.Failure(code: .tooManyParts)) { try parse(many, boundary: "b") { 4096 } }
    }

    @Test func readsTheBoundaryAsClientsWriteIt() {
        #expect(MultipartParser.boundary(contentType: "multipart/form-data; boundary=abc") == "abc")
        #expect(MultipartParser.boundary(contentType: "Multipart/Form-Data; charset=x; BOUNDARY=\"a b\"") == "a b")
        #expect(MultipartParser.boundary(contentType: "multipart/form-data") == nil)
        #expect(MultipartParser.boundary(contentType: "application/json; boundary=x") == nil)
    }
}
