import FieldNodes
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Sensors
import Store
import TextParts

/// What CO2 units ask and tell, in the manners that their HTTP client needs: every answer has a length and ends the
/// connection, since the client reads to the end; nothing is chunked, nothing is redirected.
struct CO2Routes: Sendable {
    let house: NodeHouse
    let depot: CO2Depot
    let reader: CO2Reader
    let shelf: UpdateShelf
    let pings: PingLog
    let mostPushBytes: Int

    static let pingLayout = ReadingLayout(Ping.layout)

    private static func answer(
        _ text: String, _ context: EdgeContext, status: HTTPResponse.Status = .ok
    ) -> Response {
        Response(status: status, headers: [.contentType: "application/json"]).closing(context.channel, body: text)
    }

    private static func message(_ text: String, _ status: HTTPResponse.Status, _ context: EdgeContext) -> Response {
        let quoted = (try? JSONEncoder().encode(text)).map { String(decoding: $0, as: UTF8.self) } ?? "\"\""
        return answer("{\"message\": \(quoted)}\n", context, status: status)
    }

    /// In the words of the former server.
    static func notFound(_ context: EdgeContext) -> Response {
        message(
            "The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again.",
            .notFound, context)
    }

    /// The path's parts behind `/ou/<id>/`. Nothing is decoded: no name here has anything to decode.
    private static func parts(_ request: Request) -> (unit: NodeID, rest: [String])? {
        let parts = request.uri.path.parts(at: "/", omittingEmpty: false).dropFirst(2)
        guard let first = parts.first, let unit = NodeID(.co2, first) else { return nil }
        return (unit, parts.dropFirst().map(String.init))
    }

    /// Nil when the unit may send.
    private func refusal(_ unit: NodeID, _ context: EdgeContext, _ contact: inout NodeContact) async -> Response? {
        let verdict = await house.judge(unit, token: nil, context)
        guard verdict != .admitted else { return nil }
        contact.reason = verdict.reason(unit)
        return Self.message(contact.reason, .forbidden, context)
    }

    private func newContact(_ unit: NodeID, _ what: String, _ context: EdgeContext) -> NodeContact {
        NodeContact(.co2, unit.text, from: context.remoteAddress, what: what)
    }

    /// `POST /ou/<id>/alive`
    @Sendable
    func alive(_ request: Request, _ context: EdgeContext) async throws -> Response {
        guard let (unit, _) = Self.parts(request) else { return Self.notFound(context) }
        var contact = newContact(unit, "alive", context)
        let answer = await takePing(unit, request, context, &contact)
        contact.end(answer.status)
        house.contacts.note(contact)
        return answer
    }

    private func takePing(
        _ unit: NodeID, _ request: Request, _ context: EdgeContext, _ contact: inout NodeContact
    ) async -> Response {
        if let refusal = await refusal(unit, context, &contact) { return refusal }
        let query = Query(request)
        let ping = Ping(
            unitID: unit.text, nickname: query.text("site_code"), rssiRaw: query.text("rssi_raw"),
            rssiDBm: query.text("rssi_dbm"))
        let now = house.time.now()
        var batch = ReadingBatch(key: unit.key, layout: Self.pingLayout)
        batch.add(timeNanoseconds: now.utcNanoseconds, ping.values, text: ping.nickname)
        batch.timeQuality = now.isSynchronised ? "live" : "unsynchronised"
        batch.bootID = now.bootID
        batch.monotonicNanoseconds = now.monotonicNanoseconds
        let sighting = house.registry.sighting(
            unit, at: now.utcNanoseconds, label: ping.nickname, remoteAddress: context.remoteAddress, isUrgent: true)
        do {
            try await house.store.commit([sighting, .readings(batch)].compactMap { $0 })
        } catch {
            house.logger.error("A unit's ping could not be kept", metadata: ["unit": "\(unit)", "error": "\(error)"])
            return Self.message("Internal Server Error", .internalServerError, context)
        }
        house.metrics.co2.readings.add(1)
        do {
            try await withTaskExecutorPreference(house.executor) {
                try await pings.append(ping.line(nanoseconds: now.utcNanoseconds))
            }
        } catch {
            house.logger.warning("The ping's line could not be written to var/pings", metadata: ["error": "\(error)"])
        }
        return Self.answer("{}\n", context)
    }

    /// `PUT /ou/<id>/push-sequential/<path>?offset=<n>`
    @Sendable
    func push(_ request: Request, _ context: EdgeContext) async throws -> Response {
        guard let (unit, rest) = Self.parts(request) else { return Self.notFound(context) }
        let name = rest.dropFirst().joined(separator: "/")
        var contact = newContact(unit, "push \(name)", context)
        let answer: Response
        if let path = PushPath(name) {
            answer = await takePush(unit, path, request, context, &contact)
        } else {
            contact.reason = "Units may write in data/ and errors/ only"
            answer = Self.notFound(context)
        }
        contact.end(answer.status, isOrdinary: answer.status == .rangeNotSatisfiable)
        house.contacts.note(contact)
        return answer
    }

    private func takePush(
        _ unit: NodeID, _ path: PushPath, _ request: Request, _ context: EdgeContext, _ contact: inout NodeContact
    ) async -> Response {
        if let refusal = await refusal(unit, context, &contact) { return refusal }
        guard let text = Query(request).text("offset"), let offset = Int64(text), (0...Int64.max / 2).contains(offset)
        else {
            contact.reason = "The offset is missing, or not a number"
            return Self.message(
                "The browser (or proxy) sent a request that this server could not understand.", .badRequest, context)
        }
        let body: [UInt8]
        do {
            body = Array((try await request.body.collect(upTo: mostPushBytes)).readableBytesView)
        } catch {
            // What was cut off in the middle is not taken; the unit sends it again.
            contact.reason = "The body is longer than \(mostPushBytes) bytes, or was cut"
            return Self.message(contact.reason, .contentTooLarge, context)
        }
        contact.bytes = Int64(body.count)
        contact.what += " offset \(offset)"
        house.metrics.co2.bytes.add(Int64(body.count))
        let outcome: CO2Depot.Outcome
        do {
            outcome = try await withTaskExecutorPreference(house.executor) {
                try depot.push(unit, path, offset: offset, body: body)
            }
        } catch {
            // Bytes may be written and not synced. The unit sends them again, which then changes nothing in the file, so its
            // reader would not be told of them.
            reader.note(unit, path)
            contact.reason = "\(error)"
            return failed(error, unit, path, context)
        }
        if let change = house.registry.sighting(
            unit, at: house.time.now().utcNanoseconds, remoteAddress: context.remoteAddress)
        {
            house.store.enqueue([change])
        }
        if outcome.hasChanged {
            house.registry.noteFiles(of: unit)
            reader.note(unit, path)
        }
        switch outcome.verdict {
        case .gap(let stored):
            contact.reason = "\(stored) bytes are stored"
            return Self.answer(
                PushVerdict.answer(name: path.name, acknowledged: stored, isGap: true), context,
                status: .rangeNotSatisfiable)
        case .follows(_, let acknowledged):
            return Self.answer(PushVerdict.answer(name: path.name, acknowledged: acknowledged, isGap: false), context)
        case .replaces(_, let acknowledged):
            house.metrics.filesReplaced.add(1)
            house.logger.notice(
                "A unit has begun a file anew; the old one is kept beside it",
                metadata: ["unit": "\(unit.text)", "file": "\(path)", "offset": "\(offset)"])
            return Self.answer(PushVerdict.answer(name: path.name, acknowledged: acknowledged, isGap: false), context)
        }
    }

    private func failed(_ error: any Error, _ unit: NodeID, _ path: PushPath, _ context: EdgeContext) -> Response {
        house.logger.error(
            "A unit's push could not be kept",
            metadata: ["unit": "\(unit.text)", "file": "\(path)", "error": "\(error)"])
        switch (error as? CO2Depot.Failure)?.code {
        case .tooLarge: return Self.message("\(error)", .contentTooLarge, context)
        case .tooOften: return Self.message("\(error)", .serviceUnavailable, context)
        case .full: return Self.message("The disk is full", StockAnswer.insufficientStorage, context)
        case .failed, nil: return Self.message("Internal Server Error", .internalServerError, context)
        }
    }

    /// `GET /ou/<id>/…`: of the former server only `updates` has anything.
    @Sendable
    func fetch(_ request: Request, _ context: EdgeContext) async throws -> Response {
        guard let (unit, rest) = Self.parts(request) else { return Self.notFound(context) }
        if rest.first == "push-sequential", rest.count > 1 { return Self.answer("null\n", context) }
        guard rest.first == "updates" else { return unknown(unit, rest, request, context) }
        let path = rest.dropFirst().filter { !$0.isEmpty }
        var contact = newContact(unit, (["fetch updates"] + path).joined(separator: "/"), context)
        let answer = await handOut(unit, path, request, context, &contact)
        // A unit without updates is told so each time.
        contact.end(answer.status, isOrdinary: answer.status == .notFound && path.isEmpty)
        house.contacts.note(contact)
        return answer
    }

    private func handOut(
        _ unit: NodeID, _ path: [String], _ request: Request, _ context: EdgeContext, _ contact: inout NodeContact
    ) async -> Response {
        if let refusal = await refusal(unit, context, &contact) { return refusal }
        let isRecursive = ["True", "1"].contains(Query(request).text("recursive") ?? "")
        let item = await withTaskExecutorPreference(house.executor) {
            shelf.item(unit, path, isRecursive: isRecursive)
        }
        switch item {
        case .names(let names):
            let list = names.map { "\"\($0)\"" }.joined(separator: ", ")
            return Self.answer("[\(list)]\n", context)
        case .file(let path):
            let bytes = await withTaskExecutorPreference(house.executor) {
                (try? Data(contentsOf: URL(fileURLWithPath: path))).map { Array($0) }
            }
            guard let bytes else { return Self.notFound(context) }
            contact.bytes = Int64(bytes.count)
            return Response(
                status: .ok,
                headers: [.contentType: "application/octet-stream", .cacheControl: "public, max-age=43200"]
            ).closing(context.channel, bytes: bytes)
        case nil:
            return Self.notFound(context)
        }
    }

    /// What is not a unit's to ask.
    @Sendable
    func nothing(_ request: Request, _ context: EdgeContext) async throws -> Response {
        guard let (unit, rest) = Self.parts(request) else { return Self.notFound(context) }
        return unknown(unit, rest, request, context)
    }

    private func unknown(_ unit: NodeID, _ rest: [String], _ request: Request, _ context: EdgeContext) -> Response {
        var contact = newContact(unit, "\(request.method.rawValue) \(rest.joined(separator: "/"))", context)
        contact.end(.notFound)
        house.contacts.note(contact)
        return Self.notFound(context)
    }
}
