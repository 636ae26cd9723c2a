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

    func putInParts(_ object: S3Object, _ sent: inout Int64) async throws(S3Interruption) -> SinkOutcome {
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
                throw S3Interruption(farEnd: .unavailable(reason: "called off", retryAfterSeconds: nil))
            }
            let offset = Int64(number - 1) * partBytes
            let length = min(partBytes, object.bytes - offset)
            let header = checksumHeader(digest)
            let answer = try await send(
                "PUT", object.key, query: [("partNumber", "\(number)"), ("uploadId", upload.uploadID)],
                headers: header.map { [$0] } ?? [], body: .file(path: object.path, offset: offset, count: length),
                payloadHash: digest.sha256Hex)
            sent += length
            let meaning = S3Answer(answer)
            guard meaning == .done, let etag = answer.headers["etag"] else {
                if meaning == .uploadGone { await forget(object.delivery.id) }
                let optional = S3OptionalHeaders(hasChecksum: header != nil, hasCondition: false)
                if let name = optional.toOmit(after: meaning) {
                    // Parts with and without checksums cannot be put together.
                    learnt.note(name, configuration.checksum, reason: meaning.reason)
                    await abort(object.key, upload.uploadID)
                    await forget(object.delivery.id)
                    return .failed(reason: "\(meaning.reason): the upload in parts begins again without checksums")
                }
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

    private func begin(_ object: S3Object, location: String) async throws(S3Interruption) -> Begun {
        var algorithm: [(name: String, value: String)] = []
        if !learnt.isWithoutChecksum.load(ordering: .relaxed) {
            switch configuration.checksum {
            case .sha256: algorithm = [("x-amz-checksum-algorithm", "SHA256")]
            case .crc32c: algorithm = [("x-amz-checksum-algorithm", "CRC32C")]
            case .md5, .none: break
            }
        }
        let query = [("uploads", "")]
        var answer = try await send("POST", object.key, query: query, headers: object.metadata + algorithm)
        var meaning = S3Answer(answer)
        let optional = S3OptionalHeaders(hasChecksum: !algorithm.isEmpty, hasCondition: false)
        if let name = optional.toOmit(after: meaning) {
            let reason = meaning.reason
            answer = try await send("POST", object.key, query: query, headers: object.metadata)
            meaning = S3Answer(answer)
            if meaning == .done { learnt.note(name, configuration.checksum, reason: reason) }
        }
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
            throw S3Interruption(
                farEnd: .unavailable(reason: "the store cannot be written: \(error)", retryAfterSeconds: nil))
        }
        return .success(upload)
    }

    private func complete(
        _ object: S3Object, _ upload: MultipartUpload, _ parts: [Part]
    ) async throws(S3Interruption) -> SinkOutcome {
        let tag = configuration.checksum == .crc32c ? "ChecksumCRC32C" : "ChecksumSHA256"
        let items = parts.map { part in
            let checksum = part.checksum.map { "<\(tag)>\($0)</\(tag)>" } ?? ""
            let etag = part.etag.replacingText("\"", with: "&quot;")
            return "<Part><PartNumber>\(part.number)</PartNumber><ETag>\(etag)</ETag>\(checksum)</Part>"
        }
        let body = Array(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\(items.joined())</CompleteMultipartUpload>"
                .utf8)
        let hasCondition = isConditional && !object.mayReplace
        let answer = try await send(
            "POST", object.key, query: [("uploadId", upload.uploadID)],
            headers: hasCondition ? [("If-None-Match", "*")] : [], body: .bytes(body),
            payloadHash: FileDigest.hash(body))
        let meaning = S3Answer(answer)
        let optional = S3OptionalHeaders(hasChecksum: false, hasCondition: hasCondition)
        if let name = optional.toOmit(after: meaning) {
            // The parts stay; the object is asked for before they are put together.
            learnt.note(name, configuration.checksum, reason: meaning.reason)
            return .failed(reason: "\(meaning.reason): If-None-Match is not sent any more")
        }
        switch meaning {
        case .done, .exists:
            if meaning == .exists { await abort(object.key, upload.uploadID) }
            let result = try await outcome(meaning, object)
            if result == .done { await forget(object.delivery.id) }
            return result
        case .uploadGone:
            // It may have been completed before the device died: then the object is there.
            await forget(object.delivery.id)
            return try await isThere(object) == true ? .done : .failed(reason: "the upload in parts begins again")
        case .again, .refused, .invalid, .unauthorised, .denied, .notImplemented, .bucketUnusable, .unavailable:
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
    func giveUpAbandoned() async {
        let now = time.now().monotonicNanoseconds
        let last = learnt.lastCleanupNanoseconds.load(ordering: .relaxed)
        guard last == 0 || now - last > 600_000_000_000 else { return }
        learnt.lastCleanupNanoseconds.store(now, ordering: .relaxed)
        for upload in (try? await store.abandonedMultipartUploads()) ?? [] {
            let address = upload.location.parts(at: "#")[0]
            let base = client.address(key: "")
            if address.hasPrefix(base), let key = address.dropFirst(base.count).removingPercentEncoding {
                guard let answer = try? await send("DELETE", key, query: [("uploadId", upload.uploadID)]),
                    (200..<300).contains(answer.status) || S3Answer(answer) == .uploadGone
                else { return }
            }
            await forget(upload.deliveryID)
        }
    }
}

extension String.SubSequence {
    fileprivate var removingPercentEncoding: String? { String(self).removingPercentEncoding }
}
