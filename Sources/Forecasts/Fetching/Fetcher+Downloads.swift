extension Fetcher {
    /// A stretch of a file, with as many requests as it takes.
    func download(_ url: String, _ range: ByteRange, mostBytes: Int) async throws(CollectionFailure) -> [UInt8] {
        var download = RangeDownload(range, mostBytes: mostBytes, firstPauseSeconds: firstPauseSeconds)
        while true {
            let verdict: RangeDownload.Verdict
            do throws(FetchFailure) {
                // A byte more than may come, so that what is too long is known from what is whole.
                verdict = download.take(
                    try await fetch(FetchRequest(url, headers: download.headers, mostBytes: download.room + 1)))
            } catch {
                guard case .unreachable(let reason) = error else { throw CollectionFailure(error) }
                verdict = download.take(reason)
            }
            switch verdict {
            case .done: return download.bytes
            case .missing(let reason): throw .missing("\(reason) (\(url))")
            case .failed(let reason): throw .failed("\(reason) (\(url))")
            case .unreachable(let reason): throw .unreachable("\(reason) (\(url))")
            case .again(_, let seconds):
                do throws(FetchFailure) { try await pause(seconds: seconds) } catch { throw CollectionFailure(error) }
            }
        }
    }

    /// A whole small document, with as many requests as it takes.
    func document(_ request: FetchRequest) async throws(CollectionFailure) -> FetchAnswer {
        var attempts = 0
        while true {
            attempts += 1
            let verdict: DocumentVerdict
            do throws(FetchFailure) {
                verdict = DocumentVerdict(try await fetch(request), mostBytes: request.mostBytes)
            } catch {
                guard case .unreachable(let reason) = error else { throw CollectionFailure(error) }
                verdict = .again(reason, isUnreachable: true, afterSeconds: nil)
            }
            switch verdict {
            case .good(let answer): return answer
            case .bad(let failure, let reason): throw failure("\(reason) (\(request.url))")
            case .again(let reason, let isUnreachable, let seconds):
                guard attempts < RangeDownload.mostAttempts else {
                    let told = "\(reason), \(attempts) times (\(request.url))"
                    throw isUnreachable ? .unreachable(told) : .failed(told)
                }
                let pause = seconds ?? firstPauseSeconds * Double(1 << (attempts - 1))
                do throws(FetchFailure) {
                    try await self.pause(seconds: min(RangeDownload.mostPauseSeconds, max(0, pause)))
                } catch { throw CollectionFailure(error) }
            }
        }
    }
}

/// What an answer to a question for a whole document means.
private enum DocumentVerdict {
    case good(FetchAnswer)
    case bad((String) -> CollectionFailure, String)
    case again(String, isUnreachable: Bool, afterSeconds: Double?)

    init(_ answer: FetchAnswer, mostBytes: Int) {
        let told = "the server answers \(answer.status)"
        switch answer.status {
        case 200..<300:
            self =
                answer.body.count > mostBytes
                ? .bad(CollectionFailure.failed, "more than \(mostBytes) bytes come")
                : answer.cut == nil && !answer.body.isEmpty
                    ? .good(answer)
                    : .again(
                        answer.cut ?? "the server sends an empty answer", isUnreachable: answer.cut != nil,
                        afterSeconds: nil)
        case 401: self = .bad(CollectionFailure.unauthorised, told)
        case 403, 404, 410: self = .bad(CollectionFailure.missing, told)
        case 408, 425, 429, 500...599:
            self = .again(
                told, isUnreachable: true, afterSeconds: answer.headers["retry-after"].flatMap(Double.init))
        default: self = .bad(CollectionFailure.failed, told)
        }
    }
}
