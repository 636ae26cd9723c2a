import Testing

@testable import Forecasts

/// What an answer to a question for a part of a file means (RFC 9110 §14 and §15.3.7).
struct RangeDownloadTests {
    private func part(_ first: Int, _ body: [UInt8], total: Int = 1000, cut: String? = nil, tag: String = "a")
        -> FetchAnswer
    {
        FetchAnswer(
            status: 206,
            headers: ["content-range": "bytes \(first)-\(first + max(1, body.count) - 1)/\(total)", "etag": tag],
            body: body,
            cut: cut)
    }

    @Test func goesOnWhereItWasCut() {
        var download = RangeDownload(ByteRange(first: 100, end: 106), mostBytes: 1000)
        #expect(download.headers == ["Range": "bytes=100-105"])
        guard case .again = download.take(part(100, [1, 2], cut: "cut")) else { return #expect(Bool(false)) }
        #expect(download.headers == ["Range": "bytes=102-105"])
        // Another part than was asked for is not taken.
        guard case .again = download.take(part(100, [9, 9, 9, 9])) else { return #expect(Bool(false)) }
        #expect(download.take(part(102, [3, 4, 5, 6])) == .done)
        #expect(download.bytes == [1, 2, 3, 4, 5, 6])
    }

    @Test func aFileThatWasReplacedBeginsAnew() {
        var download = RangeDownload(ByteRange(first: 0, end: 4), mostBytes: 1000)
        _ = download.take(part(0, [1, 2], cut: "cut", tag: "old"))
        guard case .again = download.take(part(2, [3, 4], tag: "new")) else { return #expect(Bool(false)) }
        #expect(download.bytes.isEmpty && download.headers == ["Range": "bytes=0-3"])
        #expect(download.take(part(0, [5, 6, 7, 8], tag: "new")) == .done)
    }

    @Test func theEndOfTheFile() {
        var download = RangeDownload(ByteRange(first: 998, end: nil), mostBytes: 1000)
        #expect(download.headers == ["Range": "bytes=998-"])
        #expect(download.take(part(998, [1, 2])) == .done)
    }

    @Test func whatServersAnswerInstead() {
        var whole = RangeDownload(ByteRange(first: 1, end: 3), mostBytes: 1000)
        #expect(whole.take(FetchAnswer(status: 200, body: [7, 8, 9, 10])) == .done)
        #expect(whole.bytes == [8, 9])
        var far = RangeDownload(ByteRange(first: 100_000, end: 100_010), mostBytes: 1000)
        guard case .failed = far.take(FetchAnswer(status: 200, body: [UInt8](repeating: 0, count: 11), cut: "too long"))
        else {
            return #expect(Bool(false))
        }
        var missing = RangeDownload(ByteRange(first: 1, end: 3), mostBytes: 1000)
        guard case .missing = missing.take(FetchAnswer(status: 403)) else { return #expect(Bool(false)) }
        var busy = RangeDownload(ByteRange(first: 1, end: 3), mostBytes: 1000)
        let verdict = busy.take(FetchAnswer(status: 429, headers: ["retry-after": "7"]))
        #expect(verdict == .again(reason: "the server answers 429", afterSeconds: 7))
        for _ in 0..<3 { _ = busy.take(FetchAnswer(status: 200)) }
        guard case .failed = busy.take(FetchAnswer(status: 200)) else { return #expect(Bool(false)) }
    }

    /// Twenty cuts, each after a part of some size, end in the whole; twenty after next to nothing do not.
    @Test func aThinLinkGetsThereToo() {
        func outcome(partBytes: Int) -> RangeDownload.Verdict {
            var download = RangeDownload(ByteRange(first: 0, end: Int64(20 * partBytes)), mostBytes: 1 << 20)
            var verdict = RangeDownload.Verdict.done
            for _ in 0..<20 {
                let body = [UInt8](repeating: 1, count: partBytes)
                verdict = download.take(part(download.bytes.count, body, total: 20 * partBytes, cut: "cut"))
                if case .unreachable = verdict { break }
            }
            return verdict
        }
        #expect(outcome(partBytes: 20_000) == .done)
        guard case .unreachable = outcome(partBytes: 100) else { return #expect(Bool(false)) }
    }

    /// A server that is overloaded (RFC 9110 §15.6.4) or not reached may have the file; one that sends a page has not.
    @Test func aServerThatCannotAnswerIsNotOneThatHasNoFile() {
        func verdict(_ take: (inout RangeDownload) -> RangeDownload.Verdict) -> RangeDownload.Verdict {
            var download = RangeDownload(ByteRange(first: 1, end: 3), mostBytes: 1000)
            for _ in 0..<4 { _ = take(&download) }
            return take(&download)
        }
        let overloaded = verdict { $0.take(FetchAnswer(status: 503)) }
        #expect(overloaded == .unreachable("the server answers 503, 5 times"))
        let silent = verdict { $0.take("no route to host") }
        #expect(silent == .unreachable("no route to host, 5 times"))
        let page = verdict { $0.take(FetchAnswer(status: 200, body: [0x3C])) }
        #expect(page == .failed("the server sends something else than the file, 5 times"))
        #expect(verdict { $0.take(FetchAnswer(status: 416)) } == .failed("the file is shorter than its index says"))
    }
}
