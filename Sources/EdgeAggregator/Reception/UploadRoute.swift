import AudioDSP
import CEdgeSystem
import Foundation
import Hummingbird
import Logging
import NIOCore
import Sensors
import ServiceLifecycle
import Store
import TextParts

/// `POST /recordings_upload`: a whole file in a form.
struct UploadRoute: Sendable {
    let house: ReceptionHouse
    let keeper: Doorkeeper
    let spoolFolder: String
    let mostBytes: Int64
    private let budget: SpoolBudget

    init(house: ReceptionHouse, keeper: Doorkeeper, spoolFolder: String, mostBytes: Int64) {
        self.house = house
        self.keeper = keeper
        self.spoolFolder = spoolFolder
        self.mostBytes = mostBytes
        budget = SpoolBudget.uploads(maximumUploadBytes: mostBytes)
    }

    @Sendable
    func receive(_ request: Request, _ context: EdgeContext) async throws -> Response {
        guard let type = request.headers[.contentType], let boundary = MultipartParser.boundary(contentType: type)
        else {
            return StockAnswer.missing("file", in: "body", channel: context.channel)
        }
        let client = StreamRequest(
            query: request.uri.query, authorization: request.headers[.authorization],
            pathToken: context.parameters.get("token"))
        let address = ClientAddress(context.client)
        do {
            try judge(client)
            let name = try await withTaskExecutorPreference(house.executor) {
                var form = UploadForm(
                    boundary: boundary, spoolFolder: spoolFolder, mostBytes: mostBytes,
                    permit: house.storageGuard.permit(for: .sound, at: spoolFolder), budget: budget, address: address)
                defer { form.discard() }
                for try await buffer in request.body {
                    guard house.storageGuard.mayKeepSound else { throw UploadRefusal.noRoom }
                    try form.consume(buffer)
                }
                let upload = try form.finish()
                return try await store(upload, client: client, address: address)
            }
            house.metrics.uploads.add(1)
            return Answer.text(#"{"status":"ok","filename":"\#(name)"}"#, type: "application/json")
        } catch let refusal as UploadRefusal {
            house.metrics.uploadsRefused.add(1)
            return answer(refusal, context)
        } catch let error as MultipartParser.Failure {
            house.metrics.uploadsRefused.add(1)
            return StockAnswer.detail(error.description, status: .badRequest, channel: context.channel)
        } catch let error as SegmentError where error.code == .diskFull {
            house.storageGuard.note(error)
            house.logger.error("An upload could not be stored", metadata: ["error": "\(error)"])
            return StockAnswer.detail(
                "The disk is full: nothing was stored, send it again later", status: StockAnswer.insufficientStorage,
                channel: context.channel)
        } catch {
            if let error = error as? SegmentError { house.noteSoundFailure(error) }
            house.logger.error("An upload failed", metadata: ["error": "\(error)"])
            return StockAnswer.detail(
                "The upload could not be stored: send it again", status: .internalServerError, channel: context.channel)
        }
    }

    /// Before anything is written: whoever cannot be admitted whichever listener the form names, and a disk without room.
    private func judge(_ client: StreamRequest) throws {
        guard keeper.listeners.isKnown(token: client.token) else {
            throw UploadRefusal.notAdmitted(reason: client.token == nil ? "no token was sent" : "the token is wrong")
        }
        guard house.storageGuard.mayKeepSound else { throw UploadRefusal.noRoom }
    }

    private func answer(_ refusal: UploadRefusal, _ context: EdgeContext) -> Response {
        switch refusal {
        case .missingFile: StockAnswer.missing("file", in: "body", channel: context.channel)
        case .unsupportedType:
            StockAnswer.detail("Unsupported file type", status: .badRequest, channel: context.channel)
        case .unreadable(let reason):
            StockAnswer.detail("Unreadable audio file: \(reason)", status: .badRequest, channel: context.channel)
        case .badListenerID:
            StockAnswer.detail(
                "listener_id must be 1 to 64 of A-Z a-z 0-9 . _ -", status: .badRequest, channel: context.channel)
        case .tooLarge(let most):
            StockAnswer.detail(
                "The file is larger than \(most) bytes", status: .contentTooLarge, channel: context.channel)
        case .noRoom:
            StockAnswer.detail(
                "The disk is full: nothing was stored, send it again later", status: StockAnswer.insufficientStorage,
                channel: context.channel)
        case .notAdmitted(let reason):
            StockAnswer.detail(reason, status: .forbidden, channel: context.channel)
        case .tooLong(let hours, let maximumHours):
            StockAnswer.detail(
                "The file holds \(hours.map { String(format: "%.1f", $0) } ?? "more than \(maximumHours)") hours of sound; max_upload_audio_hours allows \(maximumHours)",
                status: .contentTooLarge, channel: context.channel)
        case .tooCostly(let maximumSeconds):
            StockAnswer.detail(
                "Decoding the file takes more than \(maximumSeconds) s of processor time, which max_upload_decode_sec allows",
                status: .contentTooLarge, channel: context.channel)
        case .tooManyNewListeners(let reason):
            later(reason, .tooManyRequests, context)
        case .tooManyUnfinished:
            later(
                "Too many uploads are unfinished: nothing was stored, send it again later", .serviceUnavailable, context
            )
        case .tooBusy:
            later(
                "Too many uploads wait to be decoded: nothing was stored, send it again later", .serviceUnavailable,
                context)
        case .stopping:
            later("The device is stopping: nothing was stored, send it again later", .serviceUnavailable, context)
        }
    }

    /// Says that the same upload may succeed a minute later (RFC 9110 §10.2.3).
    private func later(_ detail: String, _ status: HTTPResponse.Status, _ context: EdgeContext) -> Response {
        var response = StockAnswer.detail(detail, status: status, channel: context.channel)
        response.headers[.retryAfter] = "60"
        return response
    }

    /// Waits, but not longer than the daemon runs.
    ///
    /// - Throws: ``UploadRefusal/stopping``, or a `CancellationError` when the sender has gone.
    static func wait(_ pause: Duration) async throws {
        try await cancelWhenGracefulShutdown {
            do {
                try await Task.sleep(for: pause)
            } catch {
                throw Task.isShuttingDownGracefully ? UploadRefusal.stopping : error
            }
        }
    }

    /// Checks a spooled file, takes it among the recordings and writes it down. Returns the name under which it is kept.
    private func store(
        _ upload: UploadForm.Upload, client: StreamRequest, address: ClientAddress
    ) async throws -> String {
        let described = UploadName(filename: upload.filename)
        let text = upload.listenerID ?? client.listenerID ?? described.listener ?? "upload"
        guard let listener = ListenerID(text) else { throw UploadRefusal.badListenerID }
        if case .refused(let reason) = keeper.listeners.judge(listener, token: client.token) {
            throw UploadRefusal.notAdmitted(reason: reason)
        }
        do throws(AddressBudgets.Refusal) {
            try house.addresses.note(
                listener, isNamed: keeper.listeners.isNamed(listener), at: address,
                nowNanoseconds: house.time.now().monotonicNanoseconds)
        } catch {
            throw UploadRefusal.tooManyNewListeners(reason: error.rawValue)
        }
        let received = house.time.now()
        if let pause = house.addresses.takeRecordings(
            1, at: address, nowNanoseconds: received.monotonicNanoseconds)
        {
            house.metrics.pauses.add(1)
            try await Self.wait(pause)
        }
        let audio = try await house.decoding.inspect(
            upload.path, expected: upload.container, address: address.text)
        guard house.storageGuard.mayKeepSound else { throw UploadRefusal.noRoom }
        let now = house.time.now()
        let start = described.startNanoseconds ?? (received.utcNanoseconds - audio.durationNanoseconds)
        let name = house.names.name(
            for: listener.text, startNanoseconds: start, nowNanoseconds: now.utcNanoseconds,
            fileExtension: upload.container.rawValue)
        let identity = SessionIdentity(
            listener: listener, bootID: now.bootID, counter: house.registry.nextCounter(listener), source: "upload")
        let relativePath = "\(listener)/\(name)"
        let path = "\(house.configuration.recordingsFolder)/\(relativePath)"
        try UploadForm.move(upload.path, to: path)
        do {
            try await house.store.commit([
                .openRecording(
                    RecordingRecord(
                        name: name, listenerID: listener.text, sessionID: nil, run: 0, runOffsetFrames: 0,
                        relativePath: relativePath, state: "open", startNanoseconds: start,
                        timeQuality: (now.isSynchronised || described.startNanoseconds != nil
                            ? TimeQuality.inferred : .unsynchronised).rawValue,
                        bootID: now.bootID, monotonicNanoseconds: start - now.utcOffsetNanoseconds,
                        source: identity.source,
                        container: upload.container.rawValue, encoding: audio.encoding, channels: audio.channels,
                        sampleRate: audio.sampleRate, analysis: house.firstAnalysisState)),
                .closeRecording(
                    RecordingClose(
                        name: name, frames: audio.frames, durationNanoseconds: audio.durationNanoseconds,
                        filledNanoseconds: 0, bytes: upload.bytes, timeQuality: nil,
                        closedNanoseconds: now.utcNanoseconds)),
                .touchListener(id: listener.text, seenNanoseconds: now.utcNanoseconds, remoteAddress: "upload"),
            ])
        } catch {
            // Memory: the path is borrowed for the call.
            unsafe unlink(path)
            throw error
        }
        house.events.publish(.recording(listener: listener.text, name: name))
        return name
    }
}

/// Why an upload was not taken.
enum UploadRefusal: Error, Equatable {
    case missingFile
    case unsupportedType
    case unreadable(reason: String)
    case badListenerID
    case tooLarge(most: Int64)
    case noRoom
    case notAdmitted(reason: String)
    /// - hours: what the file declares; nil for one that declares less.
    case tooLong(hours: Double?, maximumHours: Double)
    case tooCostly(maximumSeconds: Double)
    case tooManyNewListeners(reason: String)
    case tooManyUnfinished
    case tooBusy
    case stopping
}

/// What an uploaded file's name says, when it is `<listener>_<YYYYMMDD>T<HHMMSS>Z.<extension>`. Any other name is as good: it says nothing.
struct UploadName: Equatable, Sendable {
    var listener: String?
    /// UTC.
    var startNanoseconds: Int64?

    /// 2200-01-01.
    private static let latestSeconds: Int64 = 7_258_118_400

    /// Memory: the texts and `seconds` are borrowed for the call, which returns a count and no pointer.
    init(filename: String) {
        let stem = filename.halves(atLast: ".")?.before ?? filename[...]
        guard let (name, stamp) = stem.halves(atLast: "_") else { return }
        var seconds: Int64 = 0
        guard stamp.utf8.count == 16, unsafe edge_parse_time(String(stamp), "%Y%m%dT%H%M%SZ", &seconds) == 16 else {
            return
        }
        // A year that no recorder has lived in is no time, only a name.
        guard (0..<Self.latestSeconds).contains(seconds) else { return }
        startNanoseconds = seconds * 1_000_000_000
        listener = ListenerID(String(name))?.text
    }
}
