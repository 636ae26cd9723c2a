import FieldNodes
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Sensors
import Store
import TextParts
import Uplink

/// What PiWardrive units send, and what is asked about them.
struct PiWardriveRoutes: Sendable {
    let house: NodeHouse
    let spool: UploadSpool
    let merger: UnitMerger
    let overlay: OverlayHouse
    let mostUploadBytes: Int64

    /// The JSON form is a hundred small records.
    private static let mostJSONBytes = 4_194_304
    /// Of the unit's five seconds.
    private static let maximumMergeWait = Duration.seconds(1)

    // MARK: - In

    /// `POST /upload`, `POST /`, and both below `/u/<unit>`. The unit has one attempt and five seconds: the file is kept and
    /// synced, and merged. The answer waits for the merge for a second at most, so that a question after it usually sees what was sent; a
    /// merge that takes longer goes on after the answer.
    @Sendable
    func upload(_ request: Request, _ context: EdgeContext) async throws -> Response {
        guard let unit = Self.unit(request, context) else {
            return detail("The unit's name is not 1 to 64 bytes of plain text", .badRequest, context)
        }
        var contact = NodeContact(.piwardrive, unit.text, from: context.remoteAddress, what: "upload")
        let answer = await upload(of: unit, request, context, &contact)
        contact.end(answer.status)
        house.contacts.note(contact)
        return answer
    }

    private func upload(
        of unit: NodeID, _ request: Request, _ context: EdgeContext, _ contact: inout NodeContact
    ) async -> Response {
        let client = StreamRequest(
            query: request.uri.query, authorization: request.headers[.authorization], pathToken: nil)
        let verdict = await house.judge(unit, token: client.token, context)
        guard verdict == .admitted else {
            contact.reason = verdict.reason(unit)
            return detail(contact.reason, verdict == .unauthorised ? .unauthorized : .forbidden, context)
        }
        do {
            let saved = try await withTaskExecutorPreference(house.executor) {
                try await take(request, unit)
            }
            if let change = house.registry.sighting(
                unit, at: house.time.now().utcNanoseconds, remoteAddress: context.remoteAddress)
            {
                house.store.enqueue([change])
            }
            contact.what = "upload \(saved.name)"
            contact.bytes = saved.bytes
            await merger.merged(saved.path, atMost: Self.maximumMergeWait)
            return Answer.text(#"{"saved":"uploads/\#(saved.name)"}"#, type: "application/json")
        } catch let refusal as UnitForm.Refusal {
            house.metrics.piwardrive.refused.add(1)
            contact.reason = reason(refusal)
            return answer(refusal, context)
        } catch let failure as MultipartParser.Failure {
            house.metrics.piwardrive.refused.add(1)
            contact.reason = failure.description
            return detail(failure.description, .badRequest, context)
        } catch is NoRoom {
            contact.reason = "Too much waits to be merged"
            return detail("Too much waits to be merged; send it again later", StockAnswer.insufficientStorage, context)
        } catch {
            contact.reason = "\(error)"
            house.logger.error(
                "A unit's upload could not be kept", metadata: ["unit": "\(unit.text)", "error": "\(error)"])
            let full = (error as? SegmentError).flatMap { $0.code == .diskFull ? $0 : nil }
            let isFull = full != nil
            return detail(
                full?.errnoValue == EDQUOT
                    ? "Too much waits to be merged; send it again later"
                    : isFull ? "The disk is full" : "The upload could not be kept: send it again",
                isFull ? StockAnswer.insufficientStorage : .internalServerError, context)
        }
    }

    private struct NoRoom: Error {}

    private struct Saved {
        /// In the spool.
        let path: String
        /// As the unit calls it.
        let name: String
        let bytes: Int64
    }

    private func take(_ request: Request, _ unit: NodeID) async throws -> Saved {
        let length = request.headers[.contentLength].flatMap { Int64($0) } ?? 0
        guard spool.hasRoom(length) else { throw NoRoom() }
        guard let type = request.headers[.contentType], let boundary = MultipartParser.boundary(contentType: type)
        else {
            return try await takeRecords(request, unit)
        }
        var form = UnitForm(boundary: boundary, spool: spool, mostBytes: mostUploadBytes)
        defer { form.discard() }
        var bytes: Int64 = 0
        for try await buffer in request.body {
            try form.consume(buffer)
            bytes += Int64(buffer.readableBytes)
            house.metrics.piwardrive.bytes.add(Int64(buffer.readableBytes))
        }
        let file = try form.finish()
        return Saved(path: try spool.take(file.path, of: unit, as: .database), name: form.filename, bytes: bytes)
    }

    private func takeRecords(_ request: Request, _ unit: NodeID) async throws -> Saved {
        let body: ByteBuffer
        do {
            body = try await request.body.collect(upTo: Self.mostJSONBytes)
        } catch {
            throw UnitForm.Refusal.tooLarge
        }
        house.metrics.piwardrive.bytes.add(Int64(body.readableBytes))
        let bytes = Array(body.readableBytesView)
        guard UnitHealth.all(json: bytes) != nil else { throw UnitForm.Refusal.missingFile }
        var file = try spool.begin()
        defer { file.discard() }
        try file.write(bytes[...])
        try file.sync()
        return Saved(
            path: try spool.take(file.path, of: unit, as: .records), name: "records.json", bytes: Int64(bytes.count))
    }

    /// Whose upload it is: Basic credentials' user, `unit=` in the query, `/u/<unit>/…`, else the address it comes from.
    private static func unit(_ request: Request, _ context: EdgeContext) -> NodeID? {
        if let authorization = request.headers[.authorization], let user = BasicCredentials(authorization)?.user,
            !user.isEmpty
        {
            return NodeID(.piwardrive, user)
        }
        if let unit = Query(request).text("unit") { return NodeID(.piwardrive, unit) }
        let parts = request.uri.path.parts(at: "/")
        if parts.count >= 2, parts[0] == "u" {
            return NodeID(.piwardrive, String(parts[1]).removingPercentEncoding ?? "")
        }
        return NodeID(.piwardrive, context.channel.remoteAddress?.ipAddress ?? "unknown")
    }

    // MARK: - Out

    /// `GET /stats[?unit=&since=]`
    @Sendable
    func stats(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let query = Query(request)
        let kind = NodeKind.piwardrive.rawValue
        let layout = UnitMerger.healthLayout
        let sums =
            if let since = try query.time("since") {
                try await house.store.readingSums(
                    kind: kind, name: query.text("unit"), layout: layout, fromNanoseconds: since)
            } else {
                try await house.store.readingSums(kind: kind, name: query.text("unit"), layout: layout)
            }
        guard sums.contains(where: { $0.count > 0 }) else { return Answer.text("{}", type: "application/json") }
        let means = zip(["temp_avg", "cpu_avg", "mem_avg", "disk_avg"], sums).map { name, sum in
            "\"\(name)\":" + (sum.count > 0 ? PythonText.number(sum.sum / Double(sum.count)) : "null")
        }
        return Answer.text("{\(means.joined(separator: ","))}", type: "application/json")
    }

    /// `GET /overlay?bins=[&unit=&since=]`
    @Sendable
    func overlay(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let query = Query(request)
        let text = query.text("bins") ?? "100"
        guard let bins = Int(text) else {
            return Self.unprocessable(
                "int_parsing", "Input should be a valid integer, unable to parse string as an integer", input: text)
        }
        guard bins >= OverlayGrid.bins.lowerBound else {
            return Self.unprocessable(
                "greater_than_equal", "Input should be greater than or equal to 1", input: text, limit: "\"ge\":1")
        }
        guard bins <= OverlayGrid.bins.upperBound else {
            return Self.unprocessable(
                "less_than_equal", "Input should be less than or equal to 500", input: text, limit: "\"le\":500")
        }
        let since = try query.time("since").map { $0 / 1_000_000_000 }
        let bytes = try await overlay.text(bins: bins, unit: query.text("unit"), sinceSeconds: since)
        return Response(
            status: .ok, headers: [.contentType: "application/json", .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    static func methodNotAllowed(_ allow: String) -> @Sendable (Request, EdgeContext) async throws -> Response {
        { _, _ in
            var answer = StockAnswer.methodNotAllowed()
            answer.headers[.allow] = allow
            return answer
        }
    }

    // MARK: - Answers in the former service's words

    private func detail(_ text: String, _ status: HTTPResponse.Status, _ context: EdgeContext) -> Response {
        StockAnswer.detail(JSONQuoted.inner(text), status: status, channel: context.channel)
    }

    private static func unprocessable(_ type: String, _ message: String, input: String, limit: String? = nil)
        -> Response
    {
        let context = limit.map { ",\"ctx\":{\($0)}" } ?? ""
        return Answer.text(
            "{\"detail\":[{\"type\":\"\(type)\",\"loc\":[\"query\",\"bins\"],\"msg\":\"\(message)\",\"input\":\"\(JSONQuoted.inner(input))\"\(context)}]}",
            type: "application/json", status: .unprocessableContent)
    }

    private func reason(_ refusal: UnitForm.Refusal) -> String {
        switch refusal {
        case .missingFile, .plainField: "There is no file in the form"
        case .badName(let name): "Invalid filename: \(name)"
        case .tooLarge: "The upload is larger than \(mostUploadBytes) bytes"
        }
    }

    private func answer(_ refusal: UnitForm.Refusal, _ context: EdgeContext) -> Response {
        switch refusal {
        case .missingFile: StockAnswer.missing("file", in: "body", channel: context.channel)
        case .plainField:
            Response(status: .unprocessableContent, headers: [.contentType: "application/json"]).closing(
                context.channel,
                body:
                    #"{"detail":[{"type":"value_error","loc":["body","file"],"msg":"Value error, Expected UploadFile, received: <class 'str'>"}]}"#
            )
        case .badName(let name): detail("Invalid filename: \(name)", .badRequest, context)
        case .tooLarge:
            detail("The upload is larger than \(mostUploadBytes) bytes", .contentTooLarge, context)
        }
    }
}

/// Text for the inside of a JSON string.
enum JSONQuoted {
    static func inner(_ text: String) -> String {
        var bytes: [UInt8] = []
        PythonText.addJSON(text, to: &bytes)
        return String(decoding: bytes.dropFirst().dropLast(), as: UTF8.self)
    }
}
