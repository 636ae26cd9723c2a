import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Sensors
import Store

/// `POST /recordings_stream?listener_id=<id>`: sound without end.
///
/// The usual form of it never comes here: the ``StreamSwitch`` hands such a connection to the ``IngestLoop``. Here come
/// those that are refused, and the forms that it leaves to the general server, such as a body with a known length.
struct StreamRoute: Sendable {
    let gate: StreamGate
    let refusals: RefusalHold
    /// Bytes a second of one connection; 0 for no limit.
    let quotaBytesPerSecond: Int

    private var house: ReceptionHouse { gate.house }

    @Sendable
    func receive(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let client = StreamRequest(
            query: request.uri.query, authorization: request.headers[.authorization],
            pathToken: context.parameters.get("token"))
        let channel = context.channel
        let verdict = gate.judge(
            client, isMock: request.headers[Self.mockHeader] != nil, remoteAddress: context.remoteAddress,
            address: ClientAddress(context.client), close: { channel.close(promise: nil) })
        switch verdict {
        case .missingID:
            return StockAnswer.missing("listener_id", in: "query", channel: channel)
        case .badID:
            return StockAnswer.detail(
                "listener_id must be 1 to 64 of A-Z a-z 0-9 . _ -", status: .badRequest, channel: channel)
        case .refused(let listener, let reason):
            return await refuse(listener, reason, context)
        case .admitted(let stream):
            return await receive(request.body, stream, channel)
        }
    }

    /// Sent by the mock generator only; it changes nothing but the session's source.
    static let mockHeader = HTTPField.Name("X-Edge-Mock")!

    private func receive(_ body: RequestBody, _ stream: AdmittedStream, _ channel: any Channel) async -> Response {
        house.enter(stream)
        do {
            let reason = try await withTaskExecutorPreference(house.executor) {
                try await take(body, stream)
            }
            house.leave(stream, reason: reason)
        } catch {
            house.leave(stream, failure: error)
            return StockAnswer.detail(
                "The box could not store the stream's end", status: .internalServerError, channel: channel)
        }
        return Answer.text(stream.answerBody, type: "application/json")
    }

    /// Reads the body to its end, whatever ends it, and returns why it ended.
    private func take(_ body: RequestBody, _ stream: AdmittedStream) async throws -> String {
        let session = StreamSession(identity: stream.identity, house: house, status: stream.connection)
        var quota = ByteQuota(
            bytesPerSecond: quotaBytesPerSecond, nowNanoseconds: house.time.now().monotonicNanoseconds)
        var reason = "end of body"
        do {
            for try await buffer in body {
                let backPressure = session.receive(buffer.readableBytesUInt8Span) { take in
                    take(0..<buffer.readableBytes)
                }
                let now = house.time.now()
                let quota = quota?.take(buffer.readableBytes, nowNanoseconds: now.monotonicNanoseconds)
                if let pause = [quota, backPressure].compactMap({ $0 }).max() {
                    stream.connection.notePause(pause, at: now)
                    try await Task.sleep(for: pause)
                }
            }
        } catch {
            reason = "disconnected"
        }
        reason = stream.connection.endedFor ?? reason
        try await withCheckedContinuation { continuation in
            session.end(reason: reason) { continuation.resume(returning: $0) }
        }.get()
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
