import Foundation
import Sensors
import Store
import Synchronization
import TextParts

/// Large files go in parts, and go on where they were after a restart.
extension S3Uploader {
    /// What the endpoint said of a part that it has.
    private struct Part: Codable {
        var number: Int
        var etag: String
        var checksum: String?
    }

    /// An upload in parts that has begun.
    private struct Begun {
        var upload: MultipartUpload
        var parts: [Part] = []
        /// What each of its parts carries. Parts with and without checksums cannot be put together.
        let checksum: S3Checksum
    }

    private enum Sent {
        case outcome(SinkOutcome)
        /// The server does not take a part with its checksum.
        case blamesChecksum(reason: String)
    }

    func putInParts(_ object: S3Object, _ sent: inout Int64) async throws(S3Interruption) -> SinkOutcome {
        let known = await begun(object)
        switch try await sendParts(object, known, checksum: checksum, after: nil, &sent) {
        case .outcome(let outcome): return outcome
        case .blamesChecksum(let reason):
            switch try await sendParts(object, nil, checksum: .none, after: reason, &sent) {
            case .outcome(let outcome): return outcome
            case .blamesChecksum(let reason): return .failed(reason: reason)
            }
        }
    }

    private func location(_ object: S3Object) -> String {
        "\(configuration.address(key: object.key))#\(object.sha256Hex)"
    }

    /// The upload that is known from before; nil when it is of no use. Then its parts are removed at the server, where they cost room.
    private func begun(_ object: S3Object) async -> Begun? {
        guard let known = (try? await store.multipartUpload(deliveryID: object.delivery.id)) ?? nil else { return nil }
        let parts = (try? JSONDecoder().decode([Part].self, from: Data(known.parts.utf8))) ?? []
        if Int64(known.partBytes) == object.seal.partBytes, let checksum = checksum(of: known, parts, object) {
            return Begun(upload: known, parts: parts, checksum: checksum)
        }
        if known.location.begins(with: "\(configuration.address(key: object.key))#") {
            await abort(object.key, known.uploadID)
        }
        return nil
    }

    /// The checksums of an upload that has begun: the last part of its location, which earlier versions did not write. Nil when it is
    /// of another file, or its checksums are of another kind than the file's.
    private func checksum(of known: MultipartUpload, _ parts: [Part], _ object: S3Object) -> S3Checksum? {
        let location = location(object)
        if known.location == location {
            return parts.first?.checksum == nil && !parts.isEmpty ? .none : configuration.checksum
        }
        return [configuration.checksum, .none].first { known.location == "\(location)#\($0.rawValue)" }
    }

    /// - Parameters:
    ///   - known: the upload that goes on; nil to begin one.
    ///   - checksum: of an upload that begins.
    ///   - blame: what the server said of parts with checksums, where this upload has none for that reason.
    private func sendParts(
        _ object: S3Object, _ known: Begun?, checksum: S3Checksum, after blame: String?, _ sent: inout Int64
    ) async throws(S3Interruption) -> Sent {
        var begun: Begun
        if let known {
            begun = known
        } else {
            switch try await begin(object, checksum) {
            case .success(let new): begun = new
            case .failure(let answer): return .outcome(try await outcome(answer, object))
            }
        }
        let partBytes = object.seal.partBytes
        let missing = object.seal.parts.enumerated().filter { place, _ in
            !begun.parts.contains { $0.number == place + 1 }
        }
        for (place, digest) in missing {
            let number = place + 1
            if Task.isCancelled {
                throw S3Interruption(farEnd: .unavailable(reason: "called off", retryAfterSeconds: nil))
            }
            let offset = Int64(number - 1) * partBytes
            let length = min(partBytes, object.bytes - offset)
            let header = digest.header(begun.checksum)
            let answer = try await send(
                "PUT", object.key, query: [("partNumber", "\(number)"), ("uploadId", begun.upload.uploadID)],
                headers: header.map { [$0] } ?? [], body: .file(path: object.path, offset: offset, count: length),
                payloadHash: digest.sha256Hex)
            sent += length
            let meaning = S3Answer(answer)
            guard meaning == .done, let etag = answer.headers["etag"] else {
                if meaning == .uploadGone { await forget(object.delivery.id) }
                if S3OptionalHeaders(hasChecksum: header != nil, hasCondition: false).toOmit(after: meaning) != nil {
                    await abort(object.key, begun.upload.uploadID)
                    await forget(object.delivery.id)
                    return .blamesChecksum(reason: meaning.reason)
                }
                return .outcome(
                    meaning == .done
                        ? .failed(reason: "a part was answered without an ETag") : try await outcome(meaning, object))
            }
            // Only now it is certain that the checksum made the difference.
            if let blame { learnt.note(.checksum, configuration.checksum, reason: blame) }
            begun.parts.append(
                Part(
                    number: number, etag: etag,
                    checksum: header?.name.begins(with: "x-amz-checksum") == true ? header?.value : nil))
            begun.upload.parts = String(
                decoding: (try? JSONEncoder().encode(begun.parts)) ?? Data("[]".utf8), as: UTF8.self)
            // A part that is not remembered is only sent once more.
            try? await store.commit([.multipart(begun.upload)])
        }
        begun.parts.sort { $0.number < $1.number }
        return .outcome(try await complete(object, begun))
    }

    private enum Beginning {
        case success(Begun)
        case failure(S3Answer)
    }

    private func begin(_ object: S3Object, _ checksum: S3Checksum) async throws(S3Interruption) -> Beginning {
        var checksum = checksum
        let algorithm: [(name: String, value: String)] =
            switch checksum {
            case .sha256: [("x-amz-checksum-algorithm", "SHA256")]
            case .crc32c: [("x-amz-checksum-algorithm", "CRC32C")]
            case .md5, .none: []
            }
        let query = [("uploads", "")]
        var answer = try await send("POST", object.key, query: query, headers: object.metadata + algorithm)
        var meaning = S3Answer(answer)
        let optional = S3OptionalHeaders(hasChecksum: !algorithm.isEmpty, hasCondition: false)
        if let name = optional.toOmit(after: meaning) {
            let reason = meaning.reason
            answer = try await send("POST", object.key, query: query, headers: object.metadata)
            meaning = S3Answer(answer)
            checksum = .none
            if meaning == .done { learnt.note(name, configuration.checksum, reason: reason) }
        }
        guard meaning == .done else { return .failure(meaning) }
        guard let id = S3Answer.value("UploadId", in: String(decoding: answer.body, as: UTF8.self)) else {
            return .failure(.unavailable(reason: "no UploadId in: \(answer.text)", retryAfterSeconds: nil))
        }
        let upload = MultipartUpload(
            deliveryID: object.delivery.id, location: "\(location(object))#\(checksum.rawValue)", uploadID: id,
            partBytes: Int(object.seal.partBytes), parts: "[]", begunNanoseconds: time.now().utcNanoseconds)
        do {
            try await store.commit([.multipart(upload)])
        } catch {
            throw S3Interruption(
                farEnd: .unavailable(reason: "the store cannot be written: \(error)", retryAfterSeconds: nil))
        }
        return .success(Begun(upload: upload, checksum: checksum))
    }

    private func complete(_ object: S3Object, _ begun: Begun) async throws(S3Interruption) -> SinkOutcome {
        let tag = begun.checksum == .crc32c ? "ChecksumCRC32C" : "ChecksumSHA256"
        let items = begun.parts.map { part in
            let checksum = part.checksum.map { "<\(tag)>\($0)</\(tag)>" } ?? ""
            let etag = part.etag.replacingText("\"", with: "&quot;")
            return "<Part><PartNumber>\(part.number)</PartNumber><ETag>\(etag)</ETag>\(checksum)</Part>"
        }
        let body = Array(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\(items.joined())</CompleteMultipartUpload>"
                .utf8)
        var meaning = try await complete(object, begun, body, hasCondition: isConditional && !object.mayReplace)
        let optional = S3OptionalHeaders(hasChecksum: false, hasCondition: isConditional && !object.mayReplace)
        if let name = optional.toOmit(after: meaning) {
            // The parts stay. Without the condition, an object that is there must be found first.
            if let found = try await found(object) { return await ended(object, begun, found) }
            let reason = meaning.reason
            meaning = try await complete(object, begun, body, hasCondition: false)
            if meaning == .done { learnt.note(name, configuration.checksum, reason: reason) }
        }
        switch meaning {
        case .done:
            await forget(object.delivery.id)
            return .done
        case .exists:
            return try await ended(object, begun, outcome(meaning, object))
        case .uploadGone:
            // It may have been completed before the device died: then the object is there.
            await forget(object.delivery.id)
            return try await isThere(object) == true ? .done : .failed(reason: "the upload in parts begins again")
        case .again, .refused, .invalid, .unauthorised, .denied, .notImplemented, .bucketUnusable, .unavailable:
            return try await outcome(meaning, object)
        }
    }

    private func complete(
        _ object: S3Object, _ begun: Begun, _ body: [UInt8], hasCondition: Bool
    ) async throws(S3Interruption) -> S3Answer {
        S3Answer(
            try await send(
                "POST", object.key, query: [("uploadId", begun.upload.uploadID)],
                headers: hasCondition ? [("If-None-Match", "*")] : [], body: .bytes(body),
                payloadHash: FileDigest.hash(body)))
    }

    /// The parts are of no use any more.
    private func ended(_ object: S3Object, _ begun: Begun, _ outcome: SinkOutcome) async -> SinkOutcome {
        await abort(object.key, begun.upload.uploadID)
        await forget(object.delivery.id)
        return outcome
    }

    private func forget(_ deliveryID: Int64) async {
        try? await store.commit([.multipartEnded(deliveryID: deliveryID)])
    }

    private func abort(_ key: String, _ uploadID: String) async {
        _ = try? await send("DELETE", key, query: [("uploadId", uploadID)])
    }

    /// Gives up, at the far end too, the uploads whose deliveries are gone: parts cost room there.
    func giveUpAbandoned() async {
        let now = time.now().monotonicNanoseconds
        let last = learnt.lastCleanupNanoseconds.load(ordering: .relaxed)
        guard last == 0 || now - last > 600_000_000_000 else { return }
        learnt.lastCleanupNanoseconds.store(now, ordering: .relaxed)
        for upload in (try? await store.abandonedMultipartUploads()) ?? [] {
            let address = upload.location.parts(at: "#")[0]
            let base = configuration.address(key: "")
            if address.hasPrefix(base), let key = address.dropFirst(base.count).removingPercentEncoding {
                guard let answer = try? await send("DELETE", key, query: [("uploadId", upload.uploadID)]),
                    (200..<300).contains(answer.status) || S3Answer(answer) == .uploadGone
                else { return }
            } else if others.contains(where: { address.hasPrefix($0.address(key: "")) }) {
                continue
            }
            await forget(upload.deliveryID)
        }
    }
}

extension String.SubSequence {
    fileprivate var removingPercentEncoding: String? { String(self).removingPercentEncoding }
}
