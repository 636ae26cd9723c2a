import Foundation
import Testing

@testable import Uplink

@Suite struct S3PartsTests {
    @Test func readsAnswers() {
        func answer(_ status: Int, _ code: String = "", _ message: String = "") -> S3Answer {
            let body = code.isEmpty ? "" : "<?xml?><Error><Code>\(code)</Code><Message>\(message)</Message></Error>"
            return S3Answer(OutgoingAnswer(status: status, headers: ["date": "now"], body: Array(body.utf8)))
        }
        #expect(answer(200) == .done)
        // CompleteMultipartUpload says 200 before it knows.
        #expect(
            answer(200, "InternalError", "again")
                == .unavailable(reason: "200 InternalError: again", retryAfterSeconds: nil))
        #expect(answer(412, "PreconditionFailed") == .exists)
        #expect(answer(404, "NoSuchUpload") == .uploadGone)
        if case .unauthorised = answer(403, "SignatureDoesNotMatch") {} else { Issue.record("wrong key") }
        if case .unavailable(let reason, _) = answer(403, "RequestTimeTooSkewed") {
            #expect(reason.contains("clock is wrong"))
        } else {
            Issue.record("a wrong clock is not a wrong key")
        }
        if case .bucketUnusable = answer(404, "NoSuchBucket") {} else { Issue.record("a bucket can be made") }
        if case .denied = answer(403, "AccessDenied") {} else { Issue.record("another prefix may be open") }
        if case .invalid = answer(400, "InvalidArgument") {} else { Issue.record("a header or the object") }
        for (status, body) in [(400, ""), (400, "<html><h1>400 Bad Request</h1></html>"), (422, "no")] {
            let proxy = S3Answer(OutgoingAnswer(status: status, headers: [:], body: Array(body.utf8)))
            if case .unavailable = proxy { continue }
            Issue.record("without a code it is not S3 that answers")
        }
        if case .refused = answer(413) {} else { Issue.record("too large stays too large") }
        if case .again = answer(400, "BadDigest") {} else { Issue.record("bytes broken on the way") }
        if case .notImplemented = answer(501, "NotImplemented") {} else { Issue.record("501") }
        #expect(S3Answer.value("ETag", in: "<a><ETag>&quot;x&amp;y&quot;</ETag></a>") == "\"x&y\"")
    }

    /// S3 API Reference, "Error responses"; the texts are those of servers that do not know a header.
    @Test func leavesOutTheHeaderThatAnAnswerBlames() {
        let all = S3OptionalHeaders(hasChecksum: true, hasCondition: true)
        #expect(
            all.toOmit(after: .invalid(reason: "400 InvalidArgument: x-amz-checksum-sha256 is not supported"))
                == .checksum)
        #expect(all.toOmit(after: .invalid(reason: "400 InvalidArgument")) == .checksum)
        #expect(all.toOmit(after: .invalid(reason: "400 InvalidRequest: If-None-Match is not supported")) == .condition)
        #expect(all.toOmit(after: .notImplemented(reason: "501 NotImplemented")) == .condition)
        #expect(all.toOmit(after: .notImplemented(reason: "501: x-amz-checksum-sha256")) == .checksum)
        // Each once, and nothing where the object or the endpoint is at fault.
        #expect(all.without(.checksum).toOmit(after: .invalid(reason: "400 InvalidArgument")) == nil)
        #expect(all.without(.condition).toOmit(after: .notImplemented(reason: "501")) == .checksum)
        for answer: S3Answer in [
            .done, .exists, .again(reason: "409"), .uploadGone, .refused(reason: "413"),
            .invalid(reason: "400 MalformedXML"),
            .unauthorised(reason: "403"), .denied(reason: "403"), .bucketUnusable(reason: "404"),
            .unavailable(reason: "503", retryAfterSeconds: nil),
        ] {
            #expect(all.toOmit(after: answer) == nil, "\(answer)")
        }
        #expect(S3OptionalHeaders.notice(.checksum, .sha256, reason: "400").contains("s3_checksum"))
        #expect(S3OptionalHeaders.notice(.condition, .sha256, reason: "501").contains("s3_conditional"))
    }

    @Test func knowsItsHours() throws {
        let night = try #require(UploadWindow("22:00-06:00"))
        #expect(
            night.contains(minuteOfDay: 23 * 60) && night.contains(minuteOfDay: 0) && !night.contains(minuteOfDay: 360))
        let day = try #require(UploadWindow("08:30-24:00"))
        #expect(day.contains(minuteOfDay: 510) && day.contains(minuteOfDay: 1439) && !day.contains(minuteOfDay: 0))
        for text in ["", "22-06", "22:00", "25:00-01:00", "1:00-2:00", "10:00-10:00", "22:00-06:60"] {
            #expect(UploadWindow(text) == nil, "\(text)")
        }
    }

    /// RFC 3720 appendix B.4, and the check value of the catalogue of parametrised CRC algorithms.
    @Test func sumsCastagnoli() {
        func crc(_ bytes: [UInt8]) -> [UInt8] {
            var crc = CRC32C()
            // In two pieces, so that the seam is tested too.
            bytes.withUnsafeBytes { all in
                crc.update(UnsafeRawBufferPointer(rebasing: all[..<min(5, all.count)]))
                crc.update(UnsafeRawBufferPointer(rebasing: all[min(5, all.count)...]))
            }
            return crc.bytes
        }
        #expect(crc(Array("123456789".utf8)) == [0xE3, 0x06, 0x92, 0x83])
        #expect(crc([UInt8](repeating: 0, count: 32)) == [0x8A, 0x91, 0x36, 0xAA])
        #expect(crc(Array(0..<32)) == [0x46, 0xDD, 0x79, 0x4E])
    }
}
