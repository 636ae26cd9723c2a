import AudioDSP
import Foundation
import NIOCore
import NIOPosix
import Synchronization
import TextParts

/// Plays a stock listener: one POST whose body never ends.
struct StockClient: Sendable {
    enum Speed: Sendable, Equatable {
        /// So many times as fast as the sound.
        case times(Double)
        case unlimited
    }

    struct Target: Sendable {
        let host: String
        let port: Int
        /// With the query, as far as the address had one.
        let path: String
        let authorization: String?
        /// Whether the address names more than the server.
        var hasPath = true
        /// More header lines, without line ends.
        var headers: [String] = []
    }

    enum Event: Sendable {
        case connected
        case sent(bytes: Int, endsFile: Bool)
        case answered(String)
        case disconnected(String)
        /// The firmware has tried twice, and would buffer to its card now.
        case gaveUp
    }

    /// After a failed write the firmware connects again twice, five seconds apart, then buffers to its card.
    static let reconnects = 2
    static let reconnectPause = Duration.seconds(5)

    let target: Target
    let frames: StockFrames
    let interval: Duration
    let speed: Speed
    /// Nil for ever.
    let files: Int?
    let report: @Sendable (Event) -> Void

    /// Streams until the files are sent, the task is cancelled, or the reconnects are used up.
    func run() async {
        var failures = 0
        while !Task.isCancelled {
            do {
                let isDone = try await connectOnce()
                if isDone { return }
                failures = 0
            } catch is CancellationError {
                return
            } catch {
                report(.disconnected("\(error)"))
            }
            failures += 1
            if failures > Self.reconnects {
                report(.gaveUp)
                return
            }
            try? await Task.sleep(for: Self.reconnectPause)
        }
    }

    /// True when all files were sent and answered.
    private func connectOnce() async throws -> Bool {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.seconds(5))
            .connect(host: target.host, port: target.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            report(.connected)
            try await outbound.write(ByteBuffer(string: head()))
            return try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask { [report] in
                    // A stock client reads nothing while it streams; an answer or an end ends its connection.
                    var answer = ""
                    for try await buffer in inbound {
                        answer += String(buffer: buffer)
                        if let end = answer.halves(at: "\r\n\r\n"),
                            answer.hasSuffix("}") || !end.after.isEmpty
                        {
                            break
                        }
                    }
                    report(.answered(Self.summary(answer)))
                    return true
                }
                group.addTask {
                    try await send(outbound)
                    return false
                }
                // Whoever is first: the sender, after which only the answer is awaited, or an answer out of turn.
                let isAnsweredEarly = try await group.next() ?? true
                if !isAnsweredEarly { _ = try await group.next() }
                group.cancelAll()
                return !isAnsweredEarly
            }
        }
    }

    /// The status line of an answer; of a rejection also what its body says, as far as it is short.
    static func summary(_ answer: String) -> String {
        guard let line = answer.lines().first else { return "closed without an answer" }
        let status = line.words().dropFirst().first ?? ""
        guard !status.begins(with: "2"), let (_, body) = answer.halves(at: "\r\n\r\n"), !body.isEmpty else {
            return String(line)
        }
        let words = String(decoding: body.utf8.prefix(maximumReasonBytes), as: UTF8.self).words()
        return "\(line): \(words.joined(separator: " "))"
    }

    /// How much of a rejection's body is shown.
    private static let maximumReasonBytes = 400

    private func head() -> String {
        var lines = [
            "POST \(target.path) HTTP/1.1", "Host: \(target.host):\(target.port)", "Transfer-Encoding: chunked",
            "Connection: keep-alive",
        ]
        if let authorization = target.authorization { lines.append("Authorization: \(authorization)") }
        lines += target.headers
        return lines.joined(separator: "\r\n") + "\r\n\r\n"
    }

    private func send(_ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>) async throws {
        var frames = frames
        var sent = 0
        let clock = ContinuousClock()
        var due = clock.now
        while true {
            let step = frames.next()
            var chunk = ByteBuffer(string: String(step.frame.count, radix: 16) + "\r\n")
            chunk.writeBytes(step.frame)
            chunk.writeString("\r\n")
            try await outbound.write(chunk)
            report(.sent(bytes: step.frame.count - FrameDecoder.headerBytes, endsFile: step.endsFile))
            if case .times(let factor) = speed {
                due += step.pause / factor
                if step.endsFile { due += interval / factor }
                try await clock.sleep(until: due)
            }
            if step.endsFile {
                sent += 1
                if sent == files { break }
            }
            try Task.checkCancellation()
        }
        try await outbound.write(ByteBuffer(string: "0\r\n\r\n"))
    }
}

extension StockClient.Target {
    /// Takes an address apart as the stock script would: it appends `?listener_id=…` whatever is there already.
    init?(url: String, listener: String) {
        guard let components = URLComponents(string: url), components.scheme == "http", let host = components.host
        else {
            return nil
        }
        self.host = host
        port = components.port ?? 80
        let path = components.percentEncodedPath.isEmpty ? "/" : components.percentEncodedPath
        hasPath = path != "/"
        let query = components.percentEncodedQuery.map { "?\($0)" } ?? ""
        self.path = "\(path)\(query)?listener_id=\(listener)"
        if let user = components.user {
            let credentials = Data("\(user):\(components.password ?? "")".utf8).base64EncodedString()
            authorization = "Basic \(credentials)"
        } else {
            authorization = nil
        }
    }
}
