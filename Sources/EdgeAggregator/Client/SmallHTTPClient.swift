import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix

/// One request of a small answer from the daemon.
enum SmallHTTPClient {
    struct Failure: Error, CustomStringConvertible {
        let description: String
        /// Whether a daemon answered, and not as it was hoped.
        var isAnswer = false
    }

    private static let mostBytes = 16 << 20

    enum Method: String {
        case get = "GET"
        case post = "POST"
        case put = "PUT"
        case delete = "DELETE"
    }

    /// The body of a 200 answer.
    static func ask(_ url: String, method: Method = .get, bearer: String, body: [UInt8] = []) async throws -> String {
        guard let components = URLComponents(string: url), components.scheme == "http", let host = components.host
        else {
            throw Failure(description: "\(url) is not an http address")
        }
        let port = components.port ?? 80
        let target = components.percentEncodedPath + (components.percentEncodedQuery.map { "?\($0)" } ?? "")
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.seconds(5))
            .connect(host: host, port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    return try NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>(
                        wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            var head = HTTPRequestHead(version: .http1_1, method: HTTPMethod(rawValue: method.rawValue), uri: target)
            head.headers = ["Host": "\(host):\(port)", "Connection": "close"]
            if !bearer.isEmpty { head.headers.add(name: "Authorization", value: "Bearer \(bearer)") }
            if method != .get { head.headers.add(name: "Content-Length", value: "\(body.count)") }
            try await outbound.write(.head(head))
            if !body.isEmpty { try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: body)))) }
            try await outbound.write(.end(nil))
            var status = HTTPResponseStatus.ok
            var text = ""
            for try await part in inbound {
                switch part {
                case .head(let head): status = head.status
                case .body(let buffer):
                    text += String(buffer: buffer)
                    if text.utf8.count > mostBytes { throw Failure(description: "the answer is too long") }
                case .end:
                    guard status == .ok else {
                        throw Failure(description: "\(status.code): \(text.prefix(400))", isAnswer: true)
                    }
                    return text
                }
            }
            throw Failure(description: "the connection ended without an answer")
        }
    }
}
