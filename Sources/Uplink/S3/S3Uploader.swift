import CEdgeSystem
import Foundation
import Sensors
import Store
import Synchronization
import TextParts

/// The endpoint cannot be used now, or the bucket; or the request is rejected, and it is not known why.
struct S3Interruption: Error {
    let farEnd: SinkReport.FarEnd
    var scope = SinkReport.Scope.endpoint
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
    /// Buckets of other sinks.
    let others: [S3Configuration]
    let store: Store
    let time: any TimeSource
    let client: S3Client
    let learnt = Learnt()

    /// What the server turned out not to know.
    final class Learnt: Sendable {
        let isUnconditional = Atomic<Bool>(false)
        let isWithoutChecksum = Atomic<Bool>(false)
        let lastCleanupNanoseconds = Atomic<Int64>(0)
        private let notices = Mutex<[String]>([])

        /// At most one for each header, since each is learnt once.
        func note(_ name: S3OptionalHeaders.Name, _ checksum: S3Checksum, reason: String) {
            let flag =
                switch name {
                case .checksum: isWithoutChecksum.exchange(true, ordering: .relaxed)
                case .condition: isUnconditional.exchange(true, ordering: .relaxed)
                }
            if !flag { notices.withLock { $0.append(S3OptionalHeaders.notice(name, checksum, reason: reason)) } }
        }

        /// What was learnt since the last call.
        func takeNotices() -> [String] {
            notices.withLock { notices in
                defer { notices = [] }
                return notices
            }
        }
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
        if !isConditional, let found = try await found(object) { return found }
        return seal.partBytes == 0 ? try await put(object, &sent) : try await putInParts(object, &sent)
    }

    /// What is not there any more is as good as removed.
    func remove(key: String) async throws(S3Interruption) -> SinkOutcome {
        let answer = try await send("DELETE", key)
        if (200..<300).contains(answer.status) || answer.status == 404 { return .done }
        if let interruption = S3Answer(answer).interruption { throw interruption }
        return .failed(reason: "DELETE: \(answer.status) \(answer.text)")
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

    /// Which checksum goes with bytes; none where the server does not know it.
    var checksum: S3Checksum {
        learnt.isWithoutChecksum.load(ordering: .relaxed) ? .none : configuration.checksum
    }

    private func put(_ object: S3Object, _ sent: inout Int64) async throws(S3Interruption) -> SinkOutcome {
        let checksum = object.seal.whole.header(checksum)
        var optional = S3OptionalHeaders(
            hasChecksum: checksum != nil, hasCondition: isConditional && !object.mayReplace)
        var omitted: (name: S3OptionalHeaders.Name, reason: String)?
        while true {
            var headers = object.metadata
            if optional.hasChecksum, let checksum { headers.append(checksum) }
            if optional.hasCondition { headers.append(("If-None-Match", "*")) }
            let answer = S3Answer(
                try await send(
                    "PUT", object.key, headers: headers, body: .file(path: object.path, offset: 0, count: object.bytes),
                    payloadHash: object.sha256Hex))
            sent += object.bytes
            if let name = optional.toOmit(after: answer) {
                optional = optional.without(name)
                omitted = (name, answer.reason)
                // Without the condition, an object that is there must be found first.
                if name == .condition, let found = try await found(object) { return found }
                continue
            }
            // Only the header that made the difference is learnt.
            if answer == .done, let omitted {
                learnt.note(omitted.name, configuration.checksum, reason: omitted.reason)
            }
            return try await outcome(answer, object)
        }
    }

    /// What an answer means for the object.
    func outcome(_ answer: S3Answer, _ object: S3Object) async throws(S3Interruption) -> SinkOutcome {
        switch answer {
        case .done: return .done
        case .exists:
            return try await found(object) ?? .failed(reason: "the object was there, and is not")
        case .again(let reason): return .failed(reason: reason)
        case .uploadGone: return .failed(reason: "the upload in parts is not known any more")
        case .refused(let reason): return .refused([object.delivery.firstID: reason])
        case .invalid(let reason), .notImplemented(let reason), .unauthorised(let reason), .denied(let reason),
            .bucketUnusable(let reason), .unavailable(let reason, _):
            throw answer.interruption ?? S3Interruption(farEnd: .rejected(reason: reason))
        }
    }

    /// What an object under its key means for the object; nil when it is to be sent. Without `If-None-Match`, another's would be overwritten.
    func found(_ object: S3Object) async throws(S3Interruption) -> SinkOutcome? {
        switch try await isThere(object) {
        case true?: return .done
        case false? where object.mayReplace: return nil
        case false?:
            let address = configuration.address(key: object.key).hidingPasswords
            return .refused([object.delivery.firstID: "another object is at \(address)"])
        case nil: return nil
        }
    }

    /// Whether the object is at the endpoint: false when another is there, nil when none is.
    func isThere(_ object: S3Object) async throws(S3Interruption) -> Bool? {
        let answer = try await send("HEAD", object.key)
        switch answer.status {
        case 200:
            let isSameSize = answer.headers["content-length"] == "\(object.bytes)"
            let hash = answer.headers["x-amz-meta-sha256"]
            return isSameSize && (hash == nil || hash == object.sha256Hex)
        case 404: return nil
        case 401, 403:
            // An answer to HEAD has no text that tells wrong keys from keys that may not read there.
            throw S3Interruption(
                farEnd: .unauthorised(reason: "HEAD: \(answer.status): check the keys and their policy"), scope: .kinds)
        default:
            throw S3Interruption(
                farEnd: .unavailable(reason: "HEAD: \(answer.status)", retryAfterSeconds: answer.retryAfterSeconds))
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
