import CEdgeSystem
import Foundation
public import Sensors
public import Store
import Synchronization

/// An S3 bucket: recordings' files, each under a key made from the box, the listener and the file's name; and the files of
/// forecast fields.
public struct S3Sink: Sink {
    public let name = "s3"
    public let limits = SinkLimits(deliveries: 1, facts: 1, concurrency: 2, kinds: [.recording, .field, .fieldRemoval])

    private let configuration: S3Configuration
    private let aggregator: String
    private let recordingsFolder: String
    private let fieldsFolder: String
    private let window: UploadWindow?
    private let store: Store
    private let time: any TimeSource
    private let client: S3Client
    private let learnt = Learnt()

    /// What the server turned out not to know.
    private final class Learnt: Sendable {
        let isUnconditional = Atomic<Bool>(false)
        let lastCleanupNanoseconds = Atomic<Int64>(0)
    }

    public init(
        configuration: S3Configuration, aggregator: String, recordingsFolder: String, fieldsFolder: String,
        window: UploadWindow?, store: Store, time: any TimeSource, transport: CurlTransport
    ) {
        var configuration = configuration
        // The limit is for the sink, not for each of its connections.
        let limit = configuration.transport.mostBytesPerSecond
        if limit > 0 { configuration.transport.mostBytesPerSecond = max(1, limit / Int64(limits.concurrency)) }
        self.configuration = configuration
        self.aggregator = aggregator
        self.recordingsFolder = recordingsFolder
        self.fieldsFolder = fieldsFolder
        self.window = window
        self.store = store
        self.time = time
        client = S3Client(configuration: configuration, transport: transport, time: time)
    }

    /// `<prefix>/<aggregator>/<listener>/<file>`
    public static func key(_ recording: RecordingRecord, prefix: String, aggregator: String) -> String {
        [prefix, aggregator, recording.listenerID, recording.name].filter { !$0.isEmpty }.joined(separator: "/")
    }

    /// `<prefix>/<aggregator>/forecasts/<path>`
    public static func key(_ dataset: DatasetRecord, prefix: String, aggregator: String) -> String {
        [prefix, aggregator, "forecasts", dataset.path].filter { !$0.isEmpty }.joined(separator: "/")
    }

    public func pauseReason() -> String? {
        guard let window, !window.contains(utcNanoseconds: time.now().utcNanoseconds) else { return nil }
        return "files are sent from \(window.text) only (upload_window)"
    }

    public func deliver(_ deliveries: [DeliveryRecord]) async -> SinkReport {
        var report = SinkReport()
        await giveUpAbandoned()
        for delivery in deliveries {
            if Task.isCancelled || pauseReason() != nil { break }
            do throws(Interruption) {
                report.outcomes[delivery.id] = try await deliver(delivery, &report.bytes)
            } catch {
                report.farEnd = error.farEnd
                break
            }
        }
        return report
    }

    /// The far end cannot be used now; the file is not to blame.
    private struct Interruption: Error {
        let farEnd: SinkReport.FarEnd
    }

    private struct Object {
        let delivery: DeliveryRecord
        let key: String
        let path: String
        let seal: FileSeal
        /// Whether it takes the place of another: a field that was collected anew.
        let mayReplace: Bool
        /// What is told of the file, in ASCII.
        var metadata: [(name: String, value: String)]

        var bytes: Int64 { seal.bytes }
        var sha256Hex: String { seal.whole.sha256Hex }
    }

    private static func metadata(_ recording: RecordingRecord, path: String) -> [(name: String, value: String)] {
        [
            (
                "Content-Type",
                path.hasSuffix(".flac") ? "audio/flac" : path.hasSuffix(".mp3") ? "audio/mpeg" : "audio/wav"
            ),
            ("x-amz-meta-duration", PythonText.number(Double(recording.durationNanoseconds / 1_000_000) / 1e3)),
            ("x-amz-meta-listener", recording.listenerID),
            ("x-amz-meta-start", UTCText.microseconds(recording.startNanoseconds)),
            ("x-amz-meta-time-quality", recording.timeQuality),
        ]
    }

    private func deliver(_ delivery: DeliveryRecord, _ sent: inout Int64) async throws(Interruption) -> SinkOutcome {
        switch delivery.kind {
        case .field: try await deliverField(delivery, &sent)
        case .fieldRemoval: try await removeField(delivery)
        default: try await deliverRecording(delivery, &sent)
        }
    }

    private func read<Value>(_ body: () async throws(StoreError) -> Value) async throws(Interruption) -> Value {
        do throws(StoreError) {
            return try await body()
        } catch {
            throw Interruption(
                farEnd: .unavailable(reason: "the store cannot be read: \(error)", retryAfterSeconds: nil))
        }
    }

    private func deliverRecording(
        _ delivery: DeliveryRecord, _ sent: inout Int64
    ) async throws(Interruption) -> SinkOutcome {
        let found = try await read { () async throws(StoreError) in try await store.recording(id: delivery.firstID) }
        guard let recording = found, recording.state == "closed" else { return .void(reason: "the recording is gone") }
        let path = "\(recordingsFolder)/\(recording.relativePath)"
        return try await send(
            delivery, key: Self.key(recording, prefix: configuration.prefix, aggregator: aggregator), path: path,
            metadata: Self.metadata(recording, path: path), sealFor: recording, &sent)
    }

    private func deliverField(_ delivery: DeliveryRecord, _ sent: inout Int64) async throws(Interruption) -> SinkOutcome
    {
        let found = try await read { () async throws(StoreError) in try await store.dataset(number: delivery.firstID) }
        guard let dataset = found, dataset.state == .ready else { return .void(reason: "the field is gone") }
        return try await send(
            delivery, key: Self.key(dataset, prefix: configuration.prefix, aggregator: aggregator),
            path: "\(fieldsFolder)/\(dataset.path)", metadata: [("Content-Type", "application/netcdf")], sealFor: nil,
            &sent)
    }

    /// What is not there any more is as good as removed.
    private func removeField(_ delivery: DeliveryRecord) async throws(Interruption) -> SinkOutcome {
        let found = try await read { () async throws(StoreError) in try await store.dataset(number: delivery.firstID) }
        guard let dataset = found else { return .done }
        let answer = try await send(
            "DELETE", Self.key(dataset, prefix: configuration.prefix, aggregator: aggregator))
        if (200..<300).contains(answer.status) || answer.status == 404 { return .done }
        switch S3Answer(answer) {
        case .unauthorised(let reason): throw Interruption(farEnd: .unauthorised(reason: reason))
        case .unavailable(let reason, let retryAfter):
            throw Interruption(farEnd: .unavailable(reason: reason, retryAfterSeconds: retryAfter))
        default: return .failed(reason: "DELETE: \(answer.status) \(answer.text)")
        }
    }

    private func send(
        _ delivery: DeliveryRecord, key: String, path: String, metadata: [(name: String, value: String)],
        sealFor recording: RecordingRecord?, _ sent: inout Int64
    ) async throws(Interruption) -> SinkOutcome {
        let seal: FileSeal
        do throws(FileSeal.Failure) {
            seal = try await self.seal(of: recording, path: path)
        } catch {
            switch error {
            case .gone: return .void(reason: "the file is gone")
            case .unreadable(let reason): return .failed(reason: "\(path) cannot be read: \(reason)")
            case .changed: return .failed(reason: "\(path) was changed while it was read")
            }
        }
        var object = Object(
            delivery: delivery, key: key, path: path, seal: seal, mayReplace: delivery.kind == .field,
            metadata: metadata)
        object.metadata.append(("x-amz-meta-sha256", object.sha256Hex))
        if !isConditional, try await isThere(object) == true { return .done }
        return seal.partBytes == 0 ? try await put(object, &sent) : try await putInParts(object, &sent)
    }

    /// What was found out of the file before, or is found out now.
    private func seal(of recording: RecordingRecord?, path: String) async throws(FileSeal.Failure) -> FileSeal {
        var status = EdgeFileStatus()
        guard edge_stat(path, &status) == 0 else {
            throw errno == ENOENT ? .gone : .unreadable(String(cString: strerror(errno)))
        }
        let partBytes = configuration.partBytes(of: status.size_bytes)
        guard let id = recording?.id else {
            return try await FileSeal.make(path: path, kind: configuration.checksum, partBytes: partBytes)
        }
        if let known = FileSeal(text: (try? await store.sealText(recordingID: id)) ?? nil),
            known.isOf(path: path, kind: configuration.checksum, partBytes: partBytes)
        {
            return known
        }
        let seal = try await FileSeal.make(path: path, kind: configuration.checksum, partBytes: partBytes)
        // One that is not remembered is made once more.
        try? await store.commit([.seal(recordingID: id, text: seal.text)])
        return seal
    }

    private var isConditional: Bool {
        configuration.isConditional && !learnt.isUnconditional.load(ordering: .relaxed)
    }

    // MARK: - Whole

    private func put(_ object: Object, _ sent: inout Int64) async throws(Interruption) -> SinkOutcome {
        var headers = object.metadata
        if let header = object.seal.whole.header(configuration.checksum) { headers.append(header) }
        if isConditional, !object.mayReplace { headers.append(("If-None-Match", "*")) }
        let answer = try await send(
            "PUT", object.key, headers: headers, body: .file(path: object.path, offset: 0, count: object.bytes),
            payloadHash: object.sha256Hex)
        sent += object.bytes
        return try await outcome(S3Answer(answer), object)
    }

    /// What an answer means for the object.
    private func outcome(_ answer: S3Answer, _ object: Object) async throws(Interruption) -> SinkOutcome {
        switch answer {
        case .done: return .done
        case .exists:
            switch try await isThere(object) {
            case true?: return .done
            case false?:
                return .refused([object.delivery.firstID: "another object is at \(client.address(key: object.key))"])
            case nil: return .failed(reason: "the object was there, and is not")
            }
        case .again(let reason): return .failed(reason: reason)
        case .uploadGone: return .failed(reason: "the upload in parts is not known any more")
        case .refused(let reason): return .refused([object.delivery.firstID: reason])
        case .notImplemented(let reason):
            guard isConditional else { return .refused([object.delivery.firstID: reason]) }
            // An older server: from now on objects are asked for first.
            learnt.isUnconditional.store(true, ordering: .relaxed)
            return .failed(reason: "\(reason): If-None-Match is not sent any more")
        case .unauthorised(let reason): throw Interruption(farEnd: .unauthorised(reason: reason))
        case .unavailable(let reason, let retryAfter):
            throw Interruption(farEnd: .unavailable(reason: reason, retryAfterSeconds: retryAfter))
        }
    }

    /// Whether the object is at the far end: false when another is there, nil when none is.
    private func isThere(_ object: Object) async throws(Interruption) -> Bool? {
        let answer = try await send("HEAD", object.key)
        switch answer.status {
        case 200:
            let isSameSize = answer.headers["content-length"] == "\(object.bytes)"
            let hash = answer.headers["x-amz-meta-sha256"]
            return isSameSize && (hash == nil || hash == object.sha256Hex)
        case 404: return nil
        default:
            switch S3Answer(answer) {
            case .unauthorised(let reason): throw Interruption(farEnd: .unauthorised(reason: reason))
            default:
                throw Interruption(
                    farEnd: .unavailable(reason: "HEAD: \(answer.status)", retryAfterSeconds: answer.retryAfterSeconds))
            }
        }
    }

    // MARK: - In parts

    /// What the far end said of a part that it has.
    private struct Part: Codable {
        var number: Int
        var etag: String
        var checksum: String?
    }

    private func putInParts(_ object: Object, _ sent: inout Int64) async throws(Interruption) -> SinkOutcome {
        let location = "\(client.address(key: object.key))#\(object.sha256Hex)"
        var upload: MultipartUpload
        var parts: [Part] = []
        let known = (try? await store.multipartUpload(deliveryID: object.delivery.id)) ?? nil
        if let known, known.location == location, Int64(known.partBytes) == object.seal.partBytes {
            upload = known
            parts = (try? JSONDecoder().decode([Part].self, from: Data(known.parts.utf8))) ?? []
        } else {
            // Parts of a file that has changed, or of another size, are of no use, and cost room there.
            if let known, known.location.hasPrefix("\(client.address(key: object.key))#") {
                await abort(object.key, known.uploadID)
            }
            switch try await begin(object, location: location) {
            case .success(let begun): upload = begun
            case .failure(let answer): return try await outcome(answer, object)
            }
        }
        let partBytes = object.seal.partBytes
        for (place, digest) in object.seal.parts.enumerated() where !parts.contains(where: { $0.number == place + 1 }) {
            let number = place + 1
            if Task.isCancelled {
                throw Interruption(farEnd: .unavailable(reason: "called off", retryAfterSeconds: nil))
            }
            let offset = Int64(number - 1) * partBytes
            let length = min(partBytes, object.bytes - offset)
            let header = digest.header(configuration.checksum)
            let answer = try await send(
                "PUT", object.key, query: [("partNumber", "\(number)"), ("uploadId", upload.uploadID)],
                headers: header.map { [$0] } ?? [], body: .file(path: object.path, offset: offset, count: length),
                payloadHash: digest.sha256Hex)
            sent += length
            let meaning = S3Answer(answer)
            guard meaning == .done, let etag = answer.headers["etag"] else {
                if meaning == .uploadGone { await forget(object.delivery.id) }
                return meaning == .done
                    ? .failed(reason: "a part was answered without an ETag") : try await outcome(meaning, object)
            }
            parts.append(
                Part(
                    number: number, etag: etag,
                    checksum: header?.name.hasPrefix("x-amz-checksum") == true ? header?.value : nil))
            upload.parts = String(decoding: (try? JSONEncoder().encode(parts)) ?? Data("[]".utf8), as: UTF8.self)
            // A part that is not remembered is only sent once more.
            try? await store.commit([.multipart(upload)])
        }
        return try await complete(object, upload, parts.sorted { $0.number < $1.number })
    }

    private enum Begun {
        case success(MultipartUpload)
        case failure(S3Answer)
    }

    private func begin(_ object: Object, location: String) async throws(Interruption) -> Begun {
        var headers = object.metadata
        switch configuration.checksum {
        case .sha256: headers.append(("x-amz-checksum-algorithm", "SHA256"))
        case .crc32c: headers.append(("x-amz-checksum-algorithm", "CRC32C"))
        case .md5, .none: break
        }
        let answer = try await send("POST", object.key, query: [("uploads", "")], headers: headers)
        let meaning = S3Answer(answer)
        guard meaning == .done else { return .failure(meaning) }
        guard let id = S3Answer.value("UploadId", in: String(decoding: answer.body, as: UTF8.self)) else {
            return .failure(.unavailable(reason: "no UploadId in: \(answer.text)", retryAfterSeconds: nil))
        }
        let upload = MultipartUpload(
            deliveryID: object.delivery.id, location: location, uploadID: id, partBytes: Int(configuration.partBytes),
            parts: "[]", begunNanoseconds: time.now().utcNanoseconds)
        do {
            try await store.commit([.multipart(upload)])
        } catch {
            throw Interruption(
                farEnd: .unavailable(reason: "the store cannot be written: \(error)", retryAfterSeconds: nil))
        }
        return .success(upload)
    }

    private func complete(
        _ object: Object, _ upload: MultipartUpload, _ parts: [Part]
    ) async throws(Interruption) -> SinkOutcome {
        let tag = configuration.checksum == .crc32c ? "ChecksumCRC32C" : "ChecksumSHA256"
        let items = parts.map { part in
            let checksum = part.checksum.map { "<\(tag)>\($0)</\(tag)>" } ?? ""
            let etag = part.etag.replacing("\"", with: "&quot;")
            return "<Part><PartNumber>\(part.number)</PartNumber><ETag>\(etag)</ETag>\(checksum)</Part>"
        }
        let body = Array(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\(items.joined())</CompleteMultipartUpload>"
                .utf8)
        let answer = try await send(
            "POST", object.key, query: [("uploadId", upload.uploadID)],
            headers: isConditional && !object.mayReplace ? [("If-None-Match", "*")] : [], body: .bytes(body),
            payloadHash: Self.hash(body))
        let meaning = S3Answer(answer)
        switch meaning {
        case .done, .exists:
            if meaning == .exists { await abort(object.key, upload.uploadID) }
            let result = try await outcome(meaning, object)
            if result == .done { await forget(object.delivery.id) }
            return result
        case .uploadGone:
            // It may have been completed before the box died: then the object is there.
            await forget(object.delivery.id)
            return try await isThere(object) == true ? .done : .failed(reason: "the upload in parts begins again")
        default:
            return try await outcome(meaning, object)
        }
    }

    private func forget(_ deliveryID: Int64) async {
        try? await store.commit([.multipartEnded(deliveryID: deliveryID)])
    }

    private func abort(_ key: String, _ uploadID: String) async {
        _ = try? await send("DELETE", key, query: [("uploadId", uploadID)])
    }

    /// Gives up, at the far end too, the uploads whose deliveries are gone: parts cost room there.
    private func giveUpAbandoned() async {
        let now = time.now().monotonicNanoseconds
        let last = learnt.lastCleanupNanoseconds.load(ordering: .relaxed)
        guard last == 0 || now - last > 600_000_000_000 else { return }
        learnt.lastCleanupNanoseconds.store(now, ordering: .relaxed)
        for upload in (try? await store.abandonedMultipartUploads()) ?? [] {
            let address = upload.location.split(separator: "#")[0]
            let base = client.address(key: "")
            if address.hasPrefix(base), let key = address.dropFirst(base.count).removingPercentEncoding {
                guard let answer = try? await send("DELETE", key, query: [("uploadId", upload.uploadID)]),
                    (200..<300).contains(answer.status) || S3Answer(answer) == .uploadGone
                else { return }
            }
            await forget(upload.deliveryID)
        }
    }

    // MARK: - Requests

    private func send(
        _ method: String, _ key: String, query: [(String, String)] = [],
        headers: [(name: String, value: String)] = [], body: OutgoingRequest.Body = .none,
        payloadHash: String = S3Client.emptyHash
    ) async throws(Interruption) -> OutgoingAnswer {
        do throws(TransportError) {
            return try await client.send(
                method, key: key, query: query, headers: headers, body: body, payloadHash: payloadHash)
        } catch {
            throw Interruption(farEnd: .unavailable(reason: error.reason, retryAfterSeconds: nil))
        }
    }

    private static func hash(_ bytes: [UInt8]) -> String {
        FileDigest.hash(bytes)
    }
}

extension String.SubSequence {
    fileprivate var removingPercentEncoding: String? { String(self).removingPercentEncoding }
}
