import EdgeTesting
import Foundation
import Store
import Testing

/// Facts made up for deliveries, and what tests ask of a daemon that delivers.
enum DeliverySupport {
    static let second: Int64 = 1_000_000_000
    static let start: Int64 = 1_795_224_464 * second

    /// Fills the database of a daemon that does not run: `count` detections of a listener, as if it had heard them.
    static func seed(folder: String, detections count: Int, plan: DeliveryPlan, listener: String = "seeded") throws {
        var options = Store.Options()
        options.deliveries = plan
        let store = try Store(path: "\(folder)/edge.db", options: options)
        defer { store.close() }
        let model = try store.modelID(
            name: "BirdNET", modelSHA256: "00112233", libraryVersion: "2.17.1", librarySHA256: "4")
        let session = "\(listener)/boot/1"
        try store.commitBlocking([
            .openSession(
                SessionRecord(
                    id: session, listenerID: listener, bootID: "boot", counter: 1, openedNanoseconds: start,
                    monotonicNanoseconds: 0, remoteAddress: "test", source: "stream"))
        ])
        let windowsPerRecording = 7
        let recordings = (count + windowsPerRecording - 1) / windowsPerRecording
        var pending: [StoreChange] = []
        for number in 0..<recordings {
            let name = "\(listener)_\(number).wav"
            let begin = start + Int64(number) * 21 * second
            var changes: [StoreChange] = [
                .openRecording(
                    RecordingRecord(
                        name: name, listenerID: listener, sessionID: session, run: 0,
                        runOffsetFrames: Int64(number) * 21 * 48_000, relativePath: "\(listener)/\(name)",
                        state: "unkept",
                        startNanoseconds: begin, timeQuality: "live", bootID: "boot", monotonicNanoseconds: 0,
                        source: "stream", container: "wav", encoding: "signed16", channels: 1, sampleRate: 48_000,
                        analysis: "pending"))
            ]
            for window in 0..<min(windowsPerRecording, count - number * windowsPerRecording) {
                let offset = Double(window * 3)
                let time = begin + Int64(window * 3) * second
                changes.append(
                    .detections([
                        DetectionRecord(
                            listenerID: listener, recordingName: name, startNanoseconds: time,
                            endNanoseconds: time + 3 * second, offsetSeconds: offset, scientificName: "Parus major",
                            commonName: "Great Tit", label: "Parus major_Great Tit",
                            confidence: 0.25 + Double((number * 7 + window) % 700) / 1000, modelID: model,
                            timeQuality: "live", sessionID: session, run: 0)
                    ]))
            }
            changes.append(
                .closeRecording(
                    RecordingClose(
                        name: name, frames: 21 * 48_000, durationNanoseconds: 21 * second, filledNanoseconds: 0,
                        bytes: 0,
                        timeQuality: nil, closedNanoseconds: begin + 21 * second)))
            changes.append(
                .analysed(recording: name, state: "done", windows: 7, error: nil, atNanoseconds: begin + 22 * second))
            if number == recordings - 1 {
                changes.append(
                    .closeSession(
                        SessionClose(id: session, closedNanoseconds: begin + 21 * second, reason: "end of body")))
            }
            pending += changes
            if pending.count >= 500 || number == recordings - 1 {
                try store.commitBlocking(pending)
                pending = []
            }
        }
    }

    /// So many gaps of a listener and readings of a sensor, one of each a minute.
    ///
    /// - Parameter first: the minute of the first.
    static func seedRest(folder: String, count: Int, plan: DeliveryPlan, first: Int = 0) throws {
        var options = Store.Options()
        options.deliveries = plan
        let store = try Store(path: "\(folder)/edge.db", options: options)
        defer { store.close() }
        for start in stride(from: 0, to: count, by: 200) {
            try store.commitBlocking(
                (start..<min(count, start + 200)).flatMap { number -> [StoreChange] in
                    let time = Self.start + Int64(first + number) * 60 * second
                    return [
                        .ledger(
                            LedgerEntry(
                                listenerID: "seeded", sessionID: nil, run: nil, recordingName: nil, kind: "gap",
                                reason: "missing frames", startNanoseconds: time, durationNanoseconds: second,
                                frames: 1,
                                bytes: 0, notedNanoseconds: time)),
                        .observations([
                            ObservationRecord(
                                source: "scd41", quantity: "co2", unit: "ppm", timeNanoseconds: time,
                                value: Double(400 + number % 50), timeQuality: "live", bootID: "boot",
                                monotonicNanoseconds: time)
                        ]),
                    ]
                })
        }
    }

    /// One gap with a text of the test's own.
    static func seedGap(folder: String, reason: String, plan: DeliveryPlan) throws {
        var options = Store.Options()
        options.deliveries = plan
        let store = try Store(path: "\(folder)/edge.db", options: options)
        defer { store.close() }
        try store.commitBlocking([
            .ledger(
                LedgerEntry(
                    listenerID: "long", sessionID: nil, run: nil, recordingName: nil, kind: "gap", reason: reason,
                    startNanoseconds: start, durationNanoseconds: second, frames: 1, bytes: 0, notedNanoseconds: start))
        ])
    }

    /// A forecast field with a file, as if it had been collected.
    static func seedField(folder: String, plan: DeliveryPlan) throws {
        var options = Store.Options()
        options.deliveries = plan
        let store = try Store(path: "\(folder)/edge.db", options: options)
        defer { store.close() }
        let now = Int64(Date().timeIntervalSince1970) / 3600 * 3600
        let path = "wind/test.nc"
        try FileManager.default.createDirectory(atPath: "\(folder)/forecasts/wind", withIntermediateDirectories: true)
        try Data("CDF".utf8).write(to: URL(fileURLWithPath: "\(folder)/forecasts/\(path)"))
        try store.commitBlocking([
            .dataset(
                DatasetRecord(
                    id: "wind-test", kind: "wind", source: "test", runSeconds: now, validFromSeconds: now,
                    validToSeconds: now + 3600, path: path, bytes: 3, isForecast: true, createdSeconds: now,
                    state: .ready))
        ])
    }

    /// What another program finds in a bucket.
    static func objects(_ server: FarEnd, bucket: String) throws -> [String] {
        String(decoding: try rclone(server, ["lsf", "-R", "--files-only", remote(server) + bucket]), as: UTF8.self)
            .split(separator: "\n").map(String.init)
    }

    static func object(_ server: FarEnd, bucket: String, _ key: String) throws -> [UInt8] {
        [UInt8](try rclone(server, ["cat", "\(remote(server))\(bucket)/\(key)"]))
    }

    private static func remote(_ server: FarEnd) -> String {
        ":s3,provider=Minio,access_key_id=key12345,secret_access_key=secret12345,endpoint='http://127.0.0.1:\(server.directPort)':"
    }

    private static func rclone(_ server: FarEnd, _ arguments: [String]) throws -> Data {
        let process = Process()
        let tools = ProcessInfo.processInfo.environment["EDGE_TEST_SERVERS"] ?? "\(TestFolders.root)/var/test-servers"
        process.executableURL = URL(fileURLWithPath: "\(tools)/bin/rclone")
        process.arguments = ["--config", "/dev/null"] + arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return data
    }

    /// Waits until the predicate holds of `/api/v1/sinks`; what was last seen is in the failure.
    static func wait(
        _ daemon: DaemonProcess, seconds: Double = 60, until predicate: ([String: Any]) -> Bool
    ) throws -> [String: Any] {
        let deadline = Date(timeIntervalSinceNow: seconds)
        var last: [String: Any] = [:]
        while Date() < deadline {
            let sinks = try daemon.json("/api/v1/sinks")["sinks"] as? [[String: Any]] ?? []
            for sink in sinks {
                last = sink
                if predicate(sink) { return sink }
            }
            usleep(50_000)
        }
        throw DaemonProcess.Failure(description: "it did not come to that; last seen: \(last)")
    }

    static func isEmpty(_ sink: [String: Any]) -> Bool {
        (sink["waiting"] as? [[String: Any]])?.isEmpty ?? false
    }

    /// The points of a table, by InfluxDB's own answer.
    static func points(_ influx: FarEnd, table: String, fields: String = "*") throws -> [[String: Any]] {
        let query =
            "SELECT \(fields) FROM \"\(table)\"".addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        let body = try influx.ask("GET", "/query?db=recordings&epoch=ns&q=\(query)")
        let object = try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any]
        let results = object?["results"] as? [[String: Any]] ?? []
        let series = results.first?["series"] as? [[String: Any]] ?? []
        return series.flatMap { series -> [[String: Any]] in
            let columns = series["columns"] as? [String] ?? []
            let values = series["values"] as? [[Any]] ?? []
            return values.map { Dictionary(uniqueKeysWithValues: zip(columns, $0)) }
        }
    }
}
