import Foundation
import HTTPTypes
import Hummingbird
import Sensors
import Store

/// `/api/v1/recordings`: list, one, download, delete.
struct RecordingResources: Sendable {
    let house: ReceptionHouse
    /// Whether sound may be handed out before a human voice in it has been looked for.
    let isPrivacyOn: Bool

    struct Recording: Encodable {
        let name: String
        let listener: String
        let startAt: String
        let seconds: Double
        let filledSeconds: Double
        let silencedSeconds: Double
        let timeQuality: String
        let state: String
        let source: String
        let container: String
        let encoding: String
        let channels: Int
        let sampleRate: Int
        let frames: Int64
        let bytes: Int64
        let analysis: String
        let analysisError: String?
        let windows: Int
        let session: String?
        let run: Int
        let deleteReason: String?

        init(_ row: RecordingRecord) {
            name = row.name
            listener = row.listenerID
            startAt = ISOTime.text(row.startNanoseconds)
            seconds = Double(row.durationNanoseconds) / 1e9
            filledSeconds = Double(row.filledNanoseconds) / 1e9
            silencedSeconds = Double(row.privacyNanoseconds) / 1e9
            timeQuality = row.timeQuality
            state = row.state
            source = row.source
            container = row.container
            encoding = row.encoding
            channels = row.channels
            sampleRate = row.sampleRate
            frames = row.frames
            bytes = row.bytes
            analysis = row.analysis
            analysisError = row.analysisError
            windows = row.windows
            session = row.sessionID
            run = row.run
            deleteReason = row.deleteReason
        }
    }

    @Sendable
    func list(_ request: Request, _ context: EdgeContext) async throws -> Response {
        struct Page: Encodable {
            let recordings: [Recording]
            let next: Int64?
        }
        let query = Query(request)
        var filter = RecordingFilter()
        filter.listener = query.text("listener")
        filter.fromNanoseconds = try query.time("from")
        filter.toNanoseconds = try query.time("to")
        filter.state = query.text("state")
        filter.analysis = query.text("analysis")
        filter.beforeID = try query.int64("cursor")
        filter.limit = try query.limit()
        let rows = try await house.store.recordings(filter)
        let next = rows.count == filter.limit ? rows.last?.id : nil
        return try Answer.json(Page(recordings: rows.map(Recording.init), next: next))
    }

    @Sendable
    func show(_ request: Request, _ context: EdgeContext) async throws -> Response {
        guard let row = try await row(context) else { return try notFound(context) }
        return try Answer.json(Recording(row))
    }

    /// The sound itself, with ranges.
    @Sendable
    func download(_ request: Request, _ context: EdgeContext) async throws -> Response {
        guard let row = try await row(context) else { return try notFound(context) }
        switch row.state {
        case "open":
            return try Answer.problem(
                .conflict, "Still recording", detail: "\(row.name) is still being written; ask again later")
        case "closed": break
        default:
            return try Answer.problem(
                .gone, "No sound", detail: "The sound of \(row.name) is not kept (\(row.deleteReason ?? row.state))")
        }
        if isPrivacyOn, row.analysis == "failed" {
            return try Answer.problem(
                .forbidden, "Not analysed",
                detail: "\(row.name) could not be analysed: whether a human voice is in it is not known")
        }
        if let refusal = try await refusal(of: row) { return refusal }
        return try await FileDownload(
            path: "\(house.configuration.recordingsFolder)/\(row.relativePath)", name: row.name,
            type: row.container == "wav" ? "audio/wav" : row.container == "flac" ? "audio/flac" : "audio/mpeg"
        ).answer(request)
    }

    /// Why sound is not handed out for the voices that may be in it, or that are known to be: those that were heard count however
    /// the settings are now.
    private func refusal(of row: RecordingRecord) async throws -> Response? {
        guard isPrivacyOn || row.privacyNanoseconds > 0 else { return nil }
        let beginning = try await house.store.beginning(ofRecording: row.name)
        if row.analysis == "pending" || beginning == .waiting {
            var answer = try Answer.problem(
                .conflict, "Not analysed yet",
                detail: isPrivacyOn
                    ? "\(row.name) is handed out once no human voice is known to be in it"
                    : "a human voice was heard in \(row.name), and may not be silent yet: it is once analysis is on again"
            )
            answer.headers[.retryAfter] = "5"
            return answer
        }
        guard beginning == .unheard else { return nil }
        return try Answer.problem(
            .forbidden, "Not analysed",
            detail: """
                the recording before \(row.name) went before it was analysed: whether a human voice is at the beginning of this one \
                is not known
                """)
    }

    @Sendable
    func delete(_ request: Request, _ context: EdgeContext) async throws -> Response {
        guard let row = try await row(context) else { return try notFound(context) }
        if row.state == "open" {
            return try Answer.problem(.conflict, "Still recording", detail: "\(row.name) is still being written")
        }
        // Its last window reaches into the recording that follows, which could never be handed out. An upload has none.
        if isPrivacyOn, row.analysis == "pending", row.sessionID != nil {
            return try Answer.problem(
                .conflict, "Not analysed yet",
                detail:
                    "\(row.name) can be deleted once no human voice is known to be in it, nor in the recording after it"
            )
        }
        try await house.store.commit(
            [
                .deleteRecording(
                    name: row.name, reason: "by request", atNanoseconds: house.time.now().utcNanoseconds)
            ], freesRoom: true)
        // Memory: the path is borrowed for the call.
        unsafe unlink("\(house.configuration.recordingsFolder)/\(row.relativePath)")
        return Response(status: .noContent)
    }

    private func row(_ context: EdgeContext) async throws -> RecordingRecord? {
        guard let name = context.parameters.get("name") else { return nil }
        return try await house.store.recording(name: name)
    }

    private func notFound(_ context: EdgeContext) throws -> Response {
        try Answer.problem(
            .notFound, "No such recording", detail: "There is no recording \(context.parameters.get("name") ?? "")")
    }
}
