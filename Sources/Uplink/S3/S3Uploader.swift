import CEdgeSystem
import Foundation
import Sensors
import Store
import Synchronization

/// The far end cannot be used now; the file is not to blame.
struct S3Interruption: Error {
    let farEnd: SinkReport.FarEnd
}

/// A file that is to be an object of the bucket.
struct S3Object {
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

/// Brings files to the bucket, whole or in parts: each once, whatever was answered before.
struct S3Uploader: Sendable {
    let configuration: S3Configuration
    let store: Store
    let time: any TimeSource
    let client: S3Client
    let learnt = Learnt()

    /// What the server turned out not to know.
    final class Learnt: Sendable {
        let isUnconditional = Atomic<Bool>(false)
        let lastCleanupNanoseconds = Atomic<Int64>(0)
    }

    func send(
        _ delivery: DeliveryRecord, key: String, path: String, metadata: [(name: String, value: String)],
        sealFor recording: RecordingRecord?, _ sent: inout Int64
    ) async throws(S3Interruption) -> SinkOutcome {
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
        var object = S3Object(
            delivery: delivery, key: key, path: path, seal: seal, mayReplace: delivery.kind == .field,
            metadata: metadata)
        object.metadata.append(("x-amz-meta-sha256", object.sha256Hex))
        if !isConditional, try await isThere(object) == true { return .done }
        return seal.partBytes == 0 ? try await put(object, &sent) : try await putInParts(object, &sent)
    }

    /// What is not there any more is as good as removed.
    func remove(key: String) async throws(S3Interruption) -> SinkOutcome {
        let answer = try await send("DELETE", key)
        if (200..<300).contains(answer.status) || answer.status == 404 { return .done }
        switch S3Answer(answer) {
        case .unauthorised(let reason): throw S3Interruption(farEnd: .unauthorised(reason: reason))
        case .unavailable(let reason, let retryAfter):
            throw S3Interruption(farEnd: .unavailable(reason: reason, retryAfterSeconds: retryAfter))
        default: return .failed(reason: "DELETE: \(answer.status) \(answer.text)")
        }
    }

    /// What was found out of the file before, or is found out now.
    ///
    /// Memory: the path and the status are borrowed for the call; the text of the error is the system's and is copied at once.
    private func seal(of recording: RecordingRecord?, path: String) async throws(FileSeal.Failure) -> FileSeal {
        var status = EdgeFileStatus()
        guard unsafe edge_stat(path, &status) == 0 else {
            throw unsafe errno == ENOENT ? .gone : .unreadable(String(cString: strerror(errno)))
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

    var isConditional: Bool {
        configuration.isConditional && !learnt.isUnconditional.load(ordering: .relaxed)
    }

    private func put(_ object: S3Object, _ sent: inout Int64) async throws(S3Interruption) -> SinkOutcome {
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
    func outcome(_ answer: S3Answer, _ object: S3Object) async throws(S3Interruption) -> SinkOutcome {
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
        case .unauthorised(let reason): throw S3Interruption(farEnd: .unauthorised(reason: reason))
        case .unavailable(let reason, let retryAfter):
            throw S3Interruption(farEnd: .unavailable(reason: reason, retryAfterSeconds: retryAfter))
        }
    }

    /// Whether the object is at the far end: false when another is there, nil when none is.
    func isThere(_ object: S3Object) async throws(S3Interruption) -> Bool? {
        let answer = try await send("HEAD", object.key)
        switch answer.status {
        case 200:
            let isSameSize = answer.headers["content-length"] == "\(object.bytes)"
            let hash = answer.headers["x-amz-meta-sha256"]
            return isSameSize && (hash == nil || hash == object.sha256Hex)
        case 404: return nil
        default:
            switch S3Answer(answer) {
            case .unauthorised(let reason): throw S3Interruption(farEnd: .unauthorised(reason: reason))
            default:
                throw S3Interruption(
                    farEnd: .unavailable(reason: "HEAD: \(answer.status)", retryAfterSeconds: answer.retryAfterSeconds))
            }
        }
    }

    func send(
        _ method: String, _ key: String, query: [(String, String)] = [],
        headers: [(name: String, value: String)] = [], body: OutgoingRequest.Body = .none,
        payloadHash: String = S3Client.emptyHash
    ) async throws(S3Interruption) -> OutgoingAnswer {
        do throws(TransportError) {
            return try await client.send(
                method, key: key, query: query, headers: headers, body: body, payloadHash: payloadHash)
        } catch {
            throw S3Interruption(farEnd: .unavailable(reason: error.reason, retryAfterSeconds: nil))
        }
    }
}
