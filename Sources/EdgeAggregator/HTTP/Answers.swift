import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

/// Builds answers.
enum Answer {
    /// Compact JSON, snake_case keys.
    static let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }()

    static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        text(String(decoding: try encoder.encode(value), as: UTF8.self), type: "application/json", status: status)
    }

    static func text(_ text: String, type: String, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: type, .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    /// RFC 9457.
    static func problem(_ status: HTTPResponse.Status, _ title: String, detail: String) throws -> Response {
        struct Problem: Encodable {
            let type = "about:blank"
            let title: String
            let status: Int
            let detail: String
        }
        var response = try json(Problem(title: title, status: status.code, detail: detail), status: status)
        response.headers[.contentType] = "application/problem+json"
        return response
    }
}

extension Response {
    /// The same answer, after which the connection is closed: an unread body is not drained for ever.
    func closing(_ channel: any Channel, body text: String) -> Response {
        closing(channel, ByteBuffer(string: text))
    }

    func closing(_ channel: any Channel, bytes: [UInt8]) -> Response {
        closing(channel, ByteBuffer(bytes: bytes))
    }

    private func closing(_ channel: any Channel, _ body: ByteBuffer) -> Response {
        var response = self
        response.headers[.connection] = "close"
        response.body = ResponseBody(contentLength: body.readableBytes) { writer in
            try await writer.write(body)
            try await writer.finish(nil)
            try? await channel.close()
        }
        return response
    }
}

/// The answers that the stock clients know, word for word.
enum StockAnswer {
    static func detail(_ text: String, status: HTTPResponse.Status, channel: any Channel) -> Response {
        closing(#"{"detail":"\#(text)"}"#, status: status, channel: channel)
    }

    /// 422, as when a required parameter is missing. `location` is `query` or `body`.
    static func missing(_ name: String, in location: String, channel: any Channel) -> Response {
        closing(
            #"{"detail":[{"type":"missing","loc":["\#(location)","\#(name)"],"msg":"Field required","input":null}]}"#,
            status: .unprocessableContent, channel: channel)
    }

    /// 507 (RFC 4918 §11.5).
    static let insufficientStorage = HTTPResponse.Status(code: 507, reasonPhrase: "Insufficient Storage")

    static func methodNotAllowed() -> Response {
        var response = Answer.text(
            #"{"detail":"Method Not Allowed"}"#, type: "application/json", status: .methodNotAllowed)
        response.headers[.allow] = "POST"
        return response
    }

    static func notFound() -> Response {
        Answer.text(#"{"detail":"Not Found"}"#, type: "application/json", status: .notFound)
    }

    private static func closing(_ body: String, status: HTTPResponse.Status, channel: any Channel) -> Response {
        Response(status: status, headers: [.contentType: "application/json"]).closing(channel, body: body)
    }
}
