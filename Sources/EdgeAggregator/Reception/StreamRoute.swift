import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Sensors
import Store

/// `POST /recordings_stream?listener_id=<id>`: sound without end.
struct StreamRoute: Sendable {
    let house: ReceptionHouse
    let admission: ListenerAdmission
    let refusals: RefusalHold
    /// Bytes a second of one connection; 0 for no limit.
    let quotaBytesPerSecond: Int

    @Sendable
    func receive(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let client = StreamRequest(
            query: request.uri.query, authorization: request.headers[.authorization],
            pathToken: context.parameters.get("token"))
        guard let text = client.listenerID else {
            return StockAnswer.missing("listener_id", in: "query", channel: context.channel)
        }
        guard let listener = ListenerID(text) else {
            return StockAnswer.detail(
                "listener_id must be 1 to 64 of A-Z a-z 0-9 . _ -", status: .badRequest, channel: context.channel)
        }
        if case .refused(let reason) = admission.judge(listener, token: client.token) {
            return await refuse(listener, reason, context)
        }
        let connection = ListenerConnection(
            listener: listener, remoteAddress: context.remoteAddress, channel: context.channel, now: house.time.now())
        let counter: Int
        do {
            counter = try house.registry.admit(connection)
        } catch {
            return await refuse(listener, error.rawValue, context)
        }
        defer { house.registry.remove(connection) }
        let identity = SessionIdentity(
            listener: listener, bootID: house.time.now().bootID, counter: counter,
            source: request.headers[Self.mockHeader] == nil ? "stream" : "mock")
        house.logger.info(
            "A listener has connected",
            metadata: ["session": "\(identity.text)", "remote": "\(connection.remoteAddress)"])
        do {
            let reason = try await withTaskExecutorPreference(house.executor) {
                try await take(request.body, identity, connection)
            }
            house.logger.info(
                "A listener's stream has ended",
                metadata: ["session": "\(identity.text)", "reason": "\(reason)", "bytes": "\(connection.status.bytes)"])
        } catch {
            house.logger.error(
                "A stream's end could not be written down",
                metadata: ["session": "\(identity.text)", "error": "\(error)"])
            return StockAnswer.detail(
                "The box could not store the stream's end", status: .internalServerError, channel: context.channel)
        }
        return Answer.text(#"{"status":"ok","listener":"\#(listener.text)"}"#, type: "application/json")
    }

    /// Sent by the mock generator only; it changes nothing but the session's source.
    static let mockHeader = HTTPField.Name("X-Edge-Mock")!

    /// Reads the body to its end, whatever ends it, and returns why it ended.
    private func take(
        _ body: RequestBody, _ identity: SessionIdentity, _ connection: ListenerConnection
    ) async throws -> String {
        let session = StreamSession(identity: identity, house: house, status: connection)
        var quota = ByteQuota(
            bytesPerSecond: quotaBytesPerSecond, nowNanoseconds: house.time.now().monotonicNanoseconds)
        var reason = "end of body"
        do {
            for try await buffer in body {
                session.receive(buffer)
                if let pause = quota?.take(
                    buffer.readableBytes, nowNanoseconds: house.time.now().monotonicNanoseconds)
                {
                    try await Task.sleep(for: pause)
                }
            }
        } catch {
            reason = "disconnected"
        }
        reason = connection.endedFor ?? reason
        try await session.end(reason: reason)
        return reason
    }

    private func refuse(_ listener: ListenerID, _ reason: String, _ context: EdgeContext) async -> Response {
        house.metrics.refused.add(1)
        house.logger.notice(
            "A listener was refused",
            metadata: ["listener": "\(listener)", "reason": "\(reason)", "remote": "\(context.remoteAddress)"])
        await refusals.hold(context.channel)
        return Response(status: .forbidden)
    }
}
