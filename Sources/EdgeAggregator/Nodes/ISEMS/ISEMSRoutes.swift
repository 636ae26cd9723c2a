import FieldNodes
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import Sensors
import Store
import TextParts

/// What the map app of ISEMS asks, and what nodes POST.
struct ISEMSRoutes: Sendable {
    let intake: ISEMSIntake
    let latest: LatestMeasurements
    let text: MeasurementText
    let hideAfterDays: Int
    let mostBodyBytes: Int

    /// A node's page shows so many.
    static let mostOfNode = 1440

    private static func answer(_ bytes: [UInt8]) -> Response {
        Response(
            status: .ok, headers: [.contentType: "application/json", .accessControlAllowOrigin: "*"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    static let methodNotAllowed: @Sendable (Request, EdgeContext) async throws -> Response = { _, _ in
        var answer = Answer.text("", type: "text/html; charset=utf-8", status: .methodNotAllowed)
        answer.headers[.allow] = "GET, OPTIONS, HEAD"
        return answer
    }

    static let options: @Sendable (Request, EdgeContext) async throws -> Response = { _, _ in
        Response(
            status: .ok,
            headers: [
                .allow: "GET, OPTIONS, HEAD", .accessControlAllowOrigin: "*",
                .accessControlAllowMethods: "GET, OPTIONS, HEAD",
            ])
    }

    /// `GET /measurements/latest[?all=true]`
    @Sendable
    func all(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let now = intake.house.time.now().utcNanoseconds / 1_000_000_000
        let isAll = Query(request).text("all") == "true"
        return Self.answer(
            try await latest.all(earliestSeconds: isAll ? nil : now - Int64(clamping: hideAfterDays) * 86_400))
    }

    /// `GET /measurements/<id>/latest`
    @Sendable
    func one(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let parts = request.uri.path.parts(at: "/")
        let name = parts.count >= 2 ? String(parts[parts.count - 2]).removingPercentEncoding ?? "" : ""
        if name.holds("/") { return StockAnswer.notFound() }
        var bytes = Array("{\"measurements\":[".utf8)
        if let node = NodeID(.isems, name) {
            var filter = ReadingFilter(key: node.key)
            filter.layout = ISEMSIntake.layout
            filter.limit = Self.mostOfNode
            for (place, reading) in try await intake.house.store.readings(filter).enumerated() {
                if place > 0 { bytes.append(UInt8(ascii: ",")) }
                text.add(reading, to: &bytes)
            }
        }
        bytes += Array("]}\n".utf8)
        return Self.answer(bytes)
    }

    /// `POST /api/<channel>/<node>/data`, as nodes of 2020 send.
    @Sendable
    func receive(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let path = request.uri.path.removingPercentEncoding ?? ""
        guard let place = ISEMSTopic(path: path), let node = NodeID(.isems, place.nodeID) else {
            return StockAnswer.detail(
                "The address must end in /<nodeid>/data", status: .notFound, channel: context.channel)
        }
        var contact = NodeContact(.isems, node.text, from: context.remoteAddress, what: "POST data")
        let answer: Response
        do {
            answer = try await take(node, request, context, &contact)
        } catch {
            contact.end(.internalServerError)
            contact.reason = "\(error)"
            intake.house.contacts.note(contact)
            throw error
        }
        contact.end(answer.status)
        intake.house.contacts.note(contact)
        return answer
    }

    private func take(
        _ node: NodeID, _ request: Request, _ context: EdgeContext, _ contact: inout NodeContact
    ) async throws -> Response {
        let house = intake.house
        let client = StreamRequest(
            query: request.uri.query, authorization: request.headers[.authorization], pathToken: nil)
        let verdict = await house.judge(node, token: client.token, context)
        guard verdict == .admitted else {
            contact.reason = verdict.reason(node)
            return StockAnswer.detail(
                contact.reason, status: verdict == .unauthorised ? .unauthorized : .forbidden,
                channel: context.channel)
        }
        let bytes: [UInt8]
        do {
            bytes = Array((try await request.body.collect(upTo: mostBodyBytes)).readableBytesView)
        } catch {
            contact.reason = "The body is longer than \(mostBodyBytes) bytes"
            return StockAnswer.detail(
                contact.reason, status: .contentTooLarge, channel: context.channel)
        }
        contact.bytes = Int64(bytes.count)
        let result = intake.json(bytes, node: node.text, from: context.remoteAddress)
        contact.reason = result.firstReason ?? ""
        try await house.store.commit(result.changes)
        guard result.readings > 0 else {
            return StockAnswer.detail(
                "The body is not a node's JSON object; see /api/v1/nodes/rejected", status: .badRequest,
                channel: context.channel)
        }
        return Answer.text("{\"status\":\"ok\"}\n", type: "application/json")
    }
}
