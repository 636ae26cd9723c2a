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
    }

    /// The body of a 200 answer.
    static func ask(_ url: String, method: Method = .get, bearer: String) async throws -> String {
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
            if method == .post { head.headers.add(name: "Content-Length", value: "0") }
            try await outbound.write(contentsOf: [.head(head), .end(nil)])
            var status = HTTPResponseStatus.ok
            var body = ""
            for try await part in inbound {
                switch part {
                case .head(let head): status = head.status
                case .body(let buffer):
                    body += String(buffer: buffer)
                    if body.utf8.count > mostBytes { throw Failure(description: "the answer is too long") }
                case .end:
                    guard status == .ok else {
                        throw Failure(description: "\(status.code): \(body.prefix(400))", isAnswer: true)
                    }
                    return body
                }
            }
            throw Failure(description: "the connection ended without an answer")
        }
    }
}
