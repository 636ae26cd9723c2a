import Foundation
import Store
import Testing

@testable import Uplink

@Suite struct InfluxTests {
    /// docs.influxdata.com, "Line protocol", special characters.
    @Test func escapesAsTheReferenceHasIt() {
        var lines = LineProtocol()
        lines.add(
            "my table,1", tags: [("a key", "v=1, 2"), ("none", "")],
            fields: [
                ("f,1", .text("say \"hi\\\"")), ("i", .integer(-5)), ("d", .number(0.5)), ("n", .number(.nan)),
                ("b", .bool(true)),
            ],
            nanoseconds: 1)
        let refused = lines.add("t", tags: [], fields: [("n", .number(.infinity))], nanoseconds: 2)
        #expect(!refused)
        #expect(
            String(decoding: lines.bytes, as: UTF8.self)
                == #"my\ table\,1,a\ key=v\=1\,\ 2 f\,1="say \"hi\\\"",i=-5i,d=0.5,b=true 1"# + "\n")
    }

    /// The line that the former system sent (captured from it), but for its time, which was that of sending.
    @Test func writesTheFormerSystemsLines() {
        var recording = RecordingRecord(
            name: "listener01_20261121T012744Z.wav", listenerID: "listener01", sessionID: nil, run: 0,
            runOffsetFrames: 0,
            relativePath: "", state: "closed", startNanoseconds: 1_795_224_464_000_000_000, timeQuality: "live",
            bootID: "", monotonicNanoseconds: 0, source: "stream", container: "wav", encoding: "s16", channels: 1,
            sampleRate: 48_000, analysis: "done")
        recording.durationNanoseconds = 4_096_000_000
        recording.analysedNanoseconds = 1_795_224_464_750_211_000
        let points = InfluxPoints(aggregator: "pi-dev", tables: InfluxPoints.Tables())
        var lines = LineProtocol()
        #expect(points.analysis(recording, detections: [], to: &lines))
        #expect(
            String(decoding: lines.bytes, as: UTF8.self)
                == "analysis,aggregator_uuid=pi-dev,duration_sec=4.096,filename=listener01_20261121T012744Z.wav,listener_id=listener01,recorded_timestamp=20261121T012744Z analyzed_timestamp=\"2026-11-21T01:27:44.750211Z\",detections=\"[]\" 1795224464000000000\n"
        )
        let detection = DetectionRecord(
            listenerID: "listener01", recordingName: recording.name, startNanoseconds: 0,
            endNanoseconds: 3_000_000_000, offsetSeconds: 3, scientificName: "Parus major", commonName: "Kohlmeiße",
            label: "Parus major_Great Tit", confidence: 0.5, modelID: 1, timeQuality: "live", sessionID: nil, run: 0)
        lines = LineProtocol()
        #expect(points.analysis(recording, detections: [detection], to: &lines))
        // json.dumps([{...}]) of Python 3.11, quoted.
        #expect(
            String(decoding: lines.bytes, as: UTF8.self).contains(
                #"detections="[{\"common_name\": \"Kohlmei\\u00dfe\", \"scientific_name\": \"Parus major\", \"start_time\": 3.0, \"end_time\": 6.0, \"confidence\": 0.5, \"label\": \"Parus major_Great Tit\"}]""#
            ))
        lines = LineProtocol()
        recording.uploadedNanoseconds = 1_795_224_464_750_211_000
        #expect(points.upload(recording, remote: "s3:b/pi-dev/listener01/x.wav", to: &lines))
        #expect(
            String(decoding: lines.bytes, as: UTF8.self)
                == "uploads,aggregator_uuid=pi-dev,filename=listener01_20261121T012744Z.wav,listener_id=listener01,recorded_timestamp=20261121T012744Z remote=\"s3:b/pi-dev/listener01/x.wav\",uploaded_timestamp=\"2026-11-21T01:27:44.750211Z\" 1795224464000000000\n"
        )
    }

    @Test func readsAnswers() {
        func answer(_ status: Int, _ body: String = "", lines: Int = 3) -> InfluxAnswer {
            InfluxAnswer(OutgoingAnswer(status: status, headers: [:], body: Array(body.utf8)), lines: lines)
        }
        #expect(answer(204) == .stored)
        #expect(
            answer(
                400,
                #"{"error":"partial write of line protocol occurred","data":[{"error_message":"bad","line_number":2,"original_line":"x"}]}"#
            ) == .partial([2: "bad"]))
        // A number that is none of ours: which line it is must be found out.
        if case .rejected = answer(
            400,
            #"{"error":"partial write of line protocol occurred","data":[{"error_message":"bad","line_number":9}]}"#)
        {
        } else {
            Issue.record("a partial write that cannot be read")
        }
        #expect(
            answer(400, #"{"error":"line protocol parsing error","data":{"error_message":"bad","line_number":1}}"#)
                == .rejected(reason: "line protocol parsing error: bad"))
        // The v2 form, and plain text: a line may be at fault, or the settings.
        #expect(answer(400, #"{"code":"invalid","message":"unable to parse"}"#) == .rejected(reason: "unable to parse"))
        #expect(answer(400, "string too long") == .rejected(reason: "400 string too long"))
        // Not the lines' fault: nothing may be set aside.
        for (status, body) in [
            (200, "<html>log in</html>"), (404, "not found"), (503, ""),
            (400, "<!DOCTYPE html><title>400 Bad Request</title>"),
        ] {
            if case .unavailable = answer(status, body) { continue }
            Issue.record("\(status) \(body)")
        }
        for status in [401, 403] {
            if case .unauthorised = answer(status) { continue }
            Issue.record("\(status)")
        }
    }

    /// docs.influxdata.com, "Line protocol": a string field holds 64 KB. The JSON is judged by Foundation's parser.
    @Test func boundsThePointOfARecordingWithManyDetections() throws {
        let recording = RecordingRecord(
            name: "a_20261121T012744Z.wav", listenerID: "a", sessionID: nil, run: 0, runOffsetFrames: 0,
            relativePath: "", state: "closed", startNanoseconds: 0, timeQuality: "live", bootID: "",
            monotonicNanoseconds: 0, source: "stream", container: "wav", encoding: "s16", channels: 1,
            sampleRate: 48_000, analysis: "done")
        let detections: [DetectionRecord] = (0..<2000).map { (number: Int) -> DetectionRecord in
            let start = Int64(number) * 3_000_000_000
            return DetectionRecord(
                listenerID: "a", recordingName: recording.name, startNanoseconds: start,
                endNanoseconds: start + 3_000_000_000, offsetSeconds: Double(number * 3), scientificName: "Parus major",
                commonName: "Great Tit", label: "Parus major_Great Tit",
                confidence: Double((number * 7) % 2000) / 2000, modelID: 1, timeQuality: "live", sessionID: nil, run: 0)
        }
        let points = InfluxPoints(aggregator: "x", tables: InfluxPoints.Tables())
        var lines = LineProtocol()
        #expect(points.analysis(recording, detections: detections, to: &lines))
        let line = String(decoding: lines.bytes, as: UTF8.self)
        let field = try #require(line.components(separatedBy: "detections=\"").last)
        let quoted = try #require(field.components(separatedBy: "\",detections_omitted=").first)
        let json = Data(quoted.replacingOccurrences(of: "\\\"", with: "\"").utf8)
        #expect(json.count <= 65_536)
        let told = try #require(try JSONSerialization.jsonObject(with: json) as? [[String: Any]])
        #expect(line.contains(",detections_omitted=\(2000 - told.count)i 0\n"))
        // The most confident ones, in the order of their times.
        let best = detections.sorted { $0.confidence > $1.confidence }.prefix(told.count)
        let wanted: [Double] = best.map { $0.offsetSeconds }.sorted()
        let times: [Double] = told.compactMap { $0["start_time"] as? Double }
        #expect(times == wanted)
        // A few are told as they always were.
        lines = LineProtocol()
        #expect(points.analysis(recording, detections: Array(detections.prefix(3)), to: &lines))
        #expect(!String(decoding: lines.bytes, as: UTF8.self).contains("omitted"))
    }

    @Test func compressesToGzip() throws {
        // RFC 1952: magic, deflate; the length at the end.
        let bytes = [UInt8](repeating: 7, count: 100_000)
        let packed = Gzip.compress(bytes)
        #expect(packed.starts(with: [0x1F, 0x8B, 8]) && packed.count < 1000)
        #expect(packed.suffix(4) == [0xA0, 0x86, 0x01, 0x00])
    }
}
