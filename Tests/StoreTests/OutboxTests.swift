import EdgeTesting
import Foundation
import GRDB
import Testing

@testable import Store

@Suite struct OutboxTests {
    private static let second: Int64 = 1_000_000_000
    private let plan = DeliveryPlan(
        sinks: [.detections: ["influx", "mqtt"], .analysis: ["influx"], .recording: ["s3"], .coverage: ["influx"]],
        holdsUnsynchronised: true)

    private func withStore(_ plan: DeliveryPlan, _ body: (Store) async throws -> Void) async throws {
        let folder = "\(NSTemporaryDirectory())/outbox-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var options = Store.Options()
        options.deliveries = plan
        let store = try Store(path: "\(folder)/edge.db", options: options)
        defer { store.close() }
        try await store.commit([
            .openSession(
                SessionRecord(
                    id: "a/b/1", listenerID: "a", bootID: "b", counter: 1, openedNanoseconds: 1,
                    monotonicNanoseconds: 0,
                    remoteAddress: "", source: "stream"))
        ])
        try await body(store)
    }

    private func open(_ name: String, quality: String = "live", start: Int64 = 100) -> StoreChange {
        .openRecording(
            RecordingRecord(
                name: name, listenerID: "a", sessionID: "a/b/1", run: 0, runOffsetFrames: start,
                relativePath: "a/\(name)",
                state: "open", startNanoseconds: start * Self.second, timeQuality: quality, bootID: "b",
                monotonicNanoseconds: 0, source: "stream", container: "wav", encoding: "signed16", channels: 1,
                sampleRate: 48_000, analysis: "pending"))
    }

    private func close(_ name: String) -> [StoreChange] {
        [
            .closeRecording(
                RecordingClose(
                    name: name, frames: 480_000, durationNanoseconds: 10 * Self.second, filledNanoseconds: 0,
                    bytes: 960_044, timeQuality: nil, closedNanoseconds: 1)),
            .analysed(recording: name, state: "done", windows: 3, error: nil, atNanoseconds: 5),
        ]
    }

    private func detections(_ store: Store, _ name: String, offset: Double, _ species: [String]) throws -> StoreChange {
        let model = try store.modelID(name: "m", modelSHA256: "1", libraryVersion: "2", librarySHA256: "3")
        return .detections(
            species.map { species in
                DetectionRecord(
                    listenerID: "a", recordingName: name, startNanoseconds: 0, endNanoseconds: 3 * Self.second,
                    offsetSeconds: offset, scientificName: species, commonName: species, label: species,
                    confidence: 0.5,
                    modelID: model, timeQuality: "live", sessionID: "a/b/1", run: 0)
            })
    }

    private func due(_ store: Store, _ sink: String) async throws -> [DeliveryRecord] {
        try await store.dueDeliveries(sink: sink, kinds: DeliveryKind.allCases, nowNanoseconds: .max, limit: 100)
    }

    @Test func writesDeliveriesWithTheirFactsOnceForEachSinkTheImportantFirst() async throws {
        try await withStore(plan) { store in
            let found = try detections(store, "r", offset: 3, ["x", "y"])
            for _ in 0..<2 { try await store.commit([open("r"), found] + close("r")) }
            let influx = try await due(store, "influx")
            #expect(influx.map(\.kind) == [.detections, .analysis])
            #expect(influx.first.map { $0.facts } == 2)
            #expect(try await due(store, "mqtt").map(\.kind) == [.detections])
            let file = try await due(store, "s3")
            #expect(file.map(\.kind) == [.recording] && file.first?.bytes == 960_044)
            // The start is the recording's and the window's place in it, whatever the analysis took it for.
            let facts = try await store.detectionFacts(of: influx)
            #expect(facts.first?.detection.startNanoseconds == 103 * Self.second)
            #expect(facts.allSatisfy { $0.deliveryID == influx.first?.id })
            let deletable = try store.deletableRecordingsBlocking(limit: 10)
            #expect(deletable.isEmpty)
            let done = (influx + file).map { DeliverySettlement($0, .done) }
            try await store.commit([.delivered(done, atNanoseconds: 9)])
            #expect(try await due(store, "influx").isEmpty)
            #expect(try store.deletableRecordingsBlocking(limit: 10).map(\.name) == ["r"])
            #expect(try await store.deliveryTotals().map(\.done) == [1, 2, 1])
        }
    }

    @Test func keepsAFileThatNobodyCouldListenToWhereVoicesAreSilenced() async throws {
        for sends in [true, false] {
            var plan = plan
            plan.sendsUnheard = sends
            try await withStore(plan) { store in
                try await store.commit([
                    open("r"), close("r")[0],
                    .analysed(recording: "r", state: "failed", windows: 0, error: "bad", atNanoseconds: 1),
                ])
                #expect(try await due(store, "s3").count == (sends ? 1 : 0))
                #expect(try await due(store, "influx").isEmpty)
            }
        }
    }

    /// The first one's last window reaches into the second: only once both are analysed it is known to hold no voice.
    @Test func holdsAFileUntilTheOneBeforeItIsAnalysedWhereVoicesAreSilenced() async throws {
        var plan = plan
        plan.sendsUnheard = false
        try await withStore(plan) { store in
            try await store.commit([open("r1", start: 0), open("r2", start: 480_000), close("r1")[0]] + close("r2"))
            #expect(try await due(store, "s3").isEmpty)
            #expect(try await store.beginning(ofRecording: "r2") == .waiting)
            #expect(try store.deletableRecordingsBlocking(limit: 10).isEmpty)
            #expect(try store.unwantedRecordingsBlocking(withoutDetections: true, limit: 10).isEmpty)
            try await store.commit([close("r1")[1]])
            #expect(try await due(store, "s3").count == 2)
            #expect(try await store.beginning(ofRecording: "r2") == .heard)
        }
    }

    /// A recording that goes before its last window was analysed leaves the beginning of the next one unheard: that is not sent, but may
    /// be removed. One that is removed for its voices is removed when it is analysed.
    @Test(arguments: ["by request", "lost in an unclean stop", "failed", "human voice"])
    func keepsAFileOfWhichNobodyHeardTheBeginning(reason: String) async throws {
        var plan = plan
        plan.sendsUnheard = false
        try await withStore(plan) { store in
            try await store.commit([open("r1", start: 0), open("r2", start: 480_000), close("r1")[0]] + close("r2"))
            try await store.commit([
                reason == "failed"
                    ? .analysed(recording: "r1", state: "failed", windows: 1, error: "bad", atNanoseconds: 6)
                    : .deleteRecording(name: "r1", reason: reason, atNanoseconds: 6)
            ])
            let isHeard = reason == "human voice"
            #expect(try await due(store, "s3").map(\.firstID) == (isHeard ? [2] : []))
            #expect(try await store.beginning(ofRecording: "r2") == (isHeard ? .heard : .unheard))
            #expect(try store.deletableRecordingsBlocking(limit: 10).contains { $0.name == "r2" } == !isHeard)
        }
    }

    /// A fact that an endpoint rejected waits for a person: it stays, and nothing else with it.
    @Test func forgetsWhatIsBehindARejectedFact() async throws {
        try await withStore(DeliveryPlan(sinks: [.detections: ["influx"], .observations: ["influx"]])) { store in
            try await store.commit([open("r"), try detections(store, "r", offset: 0, ["w", "x", "y", "z"])])
            try await store.commit((1...3).map { .observations([observation("co2", at: $0)]) })
            let rows = try await due(store, "influx")
            #expect(rows.map(\.facts) == [4, 3])
            // The first of each is rejected, the last but one of the detections waits.
            try await store.commit([
                .delivered(
                    [
                        DeliverySettlement(rows[0], .refused([rows[0].firstID: "bad"]), throughID: rows[0].firstID + 1),
                        DeliverySettlement(rows[1], .refused([rows[1].firstID: "bad"])),
                    ], atNanoseconds: 1)
            ])
            try await store.commit([.forgetHistory(beforeNanoseconds: .max, most: 100)])
            let (species, moments) = try await store.read { database in
                (
                    try String.fetchAll(database, sql: "SELECT scientific_name FROM detections ORDER BY id"),
                    try Int64.fetchAll(database, sql: "SELECT time_ns FROM observations ORDER BY id")
                )
            }
            #expect(species == ["w", "y", "z"])
            #expect(moments == [Self.second])
            #expect(try await store.oldestHistoryNanoseconds() == nil)
        }
    }

    @Test func writesNothingWithoutASink() async throws {
        try await withStore(.nothing) { store in
            try await store.commit([open("r"), try detections(store, "r", offset: 0, ["x"])] + close("r"))
            #expect(try await store.deliveryCount() == 0)
        }
    }

    @Test func holdsWhatWillBeMovedUntilItIsAndThenSendsItsNewTime() async throws {
        try await withStore(plan) { store in
            try await store.commit([open("r"), .inferTimes(recording: "r")])
            try await store.commit([try detections(store, "r", offset: 0, ["x"])])
            #expect(try await due(store, "influx").isEmpty)
            try await store.commit([
                .settleRun(
                    sessionID: "a/b/1", run: 0, byNanoseconds: -50 * Self.second, gapByNanoseconds: 0,
                    timeQuality: "inferred")
            ])
            // What is analysed after the move is where its recording is now, and not held any more.
            try await store.commit([try detections(store, "r", offset: 3, ["x"])])
            let rows = try await due(store, "influx")
            #expect(
                try await store.detectionFacts(of: rows).map(\.detection.startNanoseconds)
                    == [50 * Self.second, 53 * Self.second])
        }
        try await withStore(plan) { store in
            try await store.commit([open("r", quality: "inferred"), try detections(store, "r", offset: 0, ["x"])])
            #expect(try await due(store, "mqtt").isEmpty)
            try await store.commit([
                .closeSession(SessionClose(id: "a/b/1", closedNanoseconds: 2, reason: "end of body"))
            ])
            #expect(try await due(store, "mqtt").count == 1)
        }
    }

    @Test func holdsWhatAClockThatWasNotSetHasStamped() async throws {
        try await withStore(plan) { store in
            try await store.commit([open("r", quality: "unsynchronised"), try detections(store, "r", offset: 0, ["x"])])
            #expect(try await due(store, "influx").isEmpty)
            #expect(try await store.hasClockHeldDeliveries())
            try await store.commit([.clockIsAssumed])
            #expect(try await due(store, "influx").count == 1)
            #expect(try await !store.hasClockHeldDeliveries())
        }
    }

    /// The clock is set while a backlog is still coming in, or after it: what is sent has both corrections.
    @Test(arguments: [true, false])
    func holdsWhatIsBothGuessedAndStampedByAClockThatWasNotSet(isClockSetFirst: Bool) async throws {
        try await withStore(plan) { store in
            try await store.commit([
                open("r", quality: "unsynchronised"), .inferTimes(recording: "r"),
                try detections(store, "r", offset: 0, ["x"]),
            ])
            let bootID = try #require(try await store.recording(name: "r")).bootID
            let known = try #require(try await store.recording(name: "r"))
            let steps: [StoreChange] = [
                .clockIsSet(bootID: bootID, offsetNanoseconds: 1000 * Self.second, atNanoseconds: 9000 * Self.second),
                .settleRun(
                    sessionID: "a/b/1", run: 0, byNanoseconds: -50 * Self.second, gapByNanoseconds: 0,
                    timeQuality: "inferred"),
            ]
            try await store.commit([isClockSetFirst ? steps[0] : steps[1]])
            #expect(try await due(store, "influx").isEmpty)
            try await store.commit([isClockSetFirst ? steps[1] : steps[0]])
            let rows = try await due(store, "influx")
            #expect(
                try await store.detectionFacts(of: rows).map(\.detection.startNanoseconds)
                    == [known.monotonicNanoseconds + 950 * Self.second])
        }
    }

    @Test func setsRefusedFactsAsideAloneAndTakesThemBack() async throws {
        try await withStore(plan) { store in
            try await store.commit([open("r"), try detections(store, "r", offset: 0, ["x", "y", "z"])])
            let row = try #require(try await due(store, "influx").first)
            try await store.commit([
                .delivered([DeliverySettlement(row, .refused([row.firstID + 1: "bad"]))], atNanoseconds: 1)
            ])
            #expect(try await due(store, "influx").isEmpty)
            var filter = DeliveryFilter()
            filter.state = .refused
            let refused = try await store.deliveries(filter)
            #expect(refused.map(\.firstID) == [row.firstID + 1] && refused.first?.error == "bad")
            #expect(try await store.deliveryTotals().map { [$0.done, $0.refused] } == [[2, 1]])
            try await store.commit([.requeue(sink: "influx", ids: nil)])
            let again = try await due(store, "influx")
            #expect(again.map(\.firstID) == [row.firstID + 1])
            try await store.commit([.delivered([DeliverySettlement(again[0], .done)], atNanoseconds: 2)])
            #expect(try await store.deliveryTotals().map { [$0.done, $0.refused] } == [[3, 0]])
        }
    }

    @Test func countsAndNotesWhatIsGivenUp() async throws {
        try await withStore(plan) { store in
            try await store.commit([open("r")] + close("r"))
            try await store.commit([.deleteRecording(name: "r", reason: "disk short", atNanoseconds: 7)])
            #expect(try await due(store, "s3").isEmpty)
            let totals = try await store.deliveryTotals()
            #expect(totals.map { [$0.sink, "\($0.shed)"] } == [["s3", "1"]])
            let reasons = try await store.read {
                try String.fetchAll($0, sql: "SELECT reason FROM ledger WHERE kind = 'shed'")
            }
            #expect(reasons.count == 1 && reasons.first?.hasSuffix("disk short") == true)
        }
    }

    /// The bucket of files changes its sink: all that waits goes along, and the figures with it.
    @Test func handsDeliveriesOverToAnotherSink() async throws {
        try await withStore(plan) { store in
            for (place, name) in ["r1", "r2", "r3"].enumerated() {
                try await store.commit([open(name, start: Int64(100 * (place + 1)))] + close(name))
            }
            let rows = try await due(store, "s3")
            try await store.commit([
                .delivered(
                    [
                        DeliverySettlement(rows[0], .failed(reason: "no link", nextNanoseconds: 0)),
                        DeliverySettlement(rows[1], .refused([rows[1].firstID: "no"])),
                    ], atNanoseconds: 1)
            ])
            #expect(try store.hasDeliveriesBlocking([.field, .recording], for: "s3"))
            #expect(try !store.hasDeliveriesBlocking([.field], for: "s3"))
            // One of them waits for the other sink already.
            try await store.pool.write {
                try $0.execute(
                    sql: """
                        INSERT INTO deliveries (sink, kind, rank, first_id, last_id, state, created_ns)
                        VALUES ('other', 'recording', 6, ?, ?, 'waiting', 1)
                        """, arguments: [rows[2].firstID, rows[2].firstID])
            }
            for _ in 0..<2 { try await store.commit([.moveDeliveries([.recording, .field], from: "s3", to: "other")]) }
            #expect(try !store.hasDeliveriesBlocking([.recording], for: "s3"))
            let moved = try await due(store, "other")
            #expect(Set(moved.map(\.firstID)) == [rows[0].firstID, rows[2].firstID])
            #expect(moved.first { $0.firstID == rows[0].firstID }?.attempts == 1)
            let backlog = try await store.backlog().filter { $0.kind == .recording }
            #expect(
                Set(backlog.map { "\($0.sink) \($0.state.rawValue) \($0.deliveries)" })
                    == ["other waiting 2", "other refused 1"])
            let totals = try await store.deliveryTotals().filter { $0.kind == .recording && $0.refused != 0 }
            #expect(totals.map { [$0.sink, "\($0.refused)"] } == [["other", "1"]])
            try await store.commit([.requeue(sink: "other", ids: nil)])
            #expect(try await due(store, "other").count == 3)
        }
    }

    /// A row that grows while it is on its way keeps what was not sent.
    @Test func letsFactsThatFollowShareARowAndSettlesWhatWasSent() async throws {
        try await withStore(DeliveryPlan(sinks: [.detections: ["influx", "mqtt"]])) { store in
            try await store.commit([open("r")])
            for second in 0..<300 {
                try await store.commit([try detections(store, "r", offset: Double(second), ["x"])])
            }
            let rows = try await due(store, "influx")
            #expect(rows.map(\.facts) == [256, 44])
            try await store.commit([try detections(store, "r", offset: 400, ["x"])])
            try await store.commit([.delivered(rows.map { DeliverySettlement($0, .done) }, atNanoseconds: 1)])
            let rest = try await due(store, "influx")
            #expect(rest.map { [$0.firstID, $0.lastID] } == [[301, 301]])
            #expect(try await store.backlog().map { [$0.deliveries, $0.facts] } == [[1, 1], [2, 301]])
            // One that has failed does not grow any more, so that the new ones need not wait with it.
            try await store.commit([
                .delivered([DeliverySettlement(rest[0], .failed(reason: "x", nextNanoseconds: 5))], atNanoseconds: 1)
            ])
            try await store.commit([try detections(store, "r", offset: 500, ["x"])])
            #expect(try await due(store, "influx").map(\.facts) == [1, 1])
            // Told twice, it counts once.
            try await store.commit([.delivered(rows.map { DeliverySettlement($0, .done) }, atNanoseconds: 1)])
            #expect(try await store.deliveryTotals().map(\.done) == [300])
            #expect(try await due(store, "influx").map(\.facts) == [1, 1])
        }
    }

    private func observation(_ quantity: String, at second: Int64, quality: String = "live") -> ObservationRecord {
        ObservationRecord(
            source: "scd41", quantity: quantity, unit: "ppm", timeNanoseconds: second * Self.second, value: 412,
            raw: 400, timeQuality: quality, bootID: "b", monotonicNanoseconds: second * Self.second)
    }

    @Test func keepsAnObservationOnceAndSendsThoseOfOneReadingTogether() async throws {
        let plan = DeliveryPlan(sinks: [.observations: ["influx"]], holdsUnsynchronised: true)
        try await withStore(plan) { store in
            let reading = ["co2", "temperature"].map { observation($0, at: 5) }
            for _ in 0..<2 { try await store.commit([.observations(reading)]) }
            var endless = observation("humidity", at: 5)
            endless.value = .nan
            try await store.commit([.observations([endless])])
            try await store.commit([.observations([observation("co2", at: 6, quality: "unsynchronised")])])
            let rows = try await due(store, "influx")
            #expect(rows.count == 1 && rows.first?.facts == 2)
            let facts = try await store.observationFacts(of: rows)
            #expect(facts.map(\.observation.quantity) == ["co2", "temperature"])
            #expect(facts.first?.observation.raw == 400 && facts.first?.observation.bootID == "b")
            let latest = try await store.latestObservations()
            #expect(latest.map(\.timeNanoseconds) == [6 * Self.second, 5 * Self.second])
            #expect(try await store.observations(ObservationFilter()).count == 3)
            #expect(try await store.hasClockHeldDeliveries())
        }
    }

    /// The counts that are kept beside the rows, against counting them.
    @Test func countsWhatWaitsAsItIs() async throws {
        var random = SeededGenerator()
        let plan = DeliveryPlan(
            sinks: [
                .detections: ["influx", "mqtt"], .observations: ["influx"], .recording: ["s3"], .analysis: ["influx"],
            ],
            holdsUnsynchronised: true)
        try await withStore(plan) { store in
            for round in 0..<60 {
                let quality = Bool.random(using: &random) ? "live" : "unsynchronised"
                let start = Int64(1000 * (round + 1))
                try await store.commit(
                    [open("r\(round)", quality: quality, start: start)]
                        + [try detections(store, "r\(round)", offset: 0, ["x", "y", "z"])] + close("r\(round)")
                        + [.observations([observation("co2", at: start, quality: quality)])])
                let rows = try await store.deliveries(DeliveryFilter())
                var outcomes: [DeliverySettlement] = []
                for row in rows where Int.random(in: 0..<6, using: &random) == 0 {
                    let outcome: DeliveryOutcome =
                        switch Int.random(in: 0..<4, using: &random) {
                        case 0: .done
                        case 1: .failed(reason: "later", nextNanoseconds: 5)
                        case 2: .void(reason: "gone")
                        default: .refused([row.firstID: "bad"])
                        }
                    let through = Bool.random(using: &random) ? row.lastID : (row.firstID + row.lastID) / 2
                    outcomes.append(DeliverySettlement(row, outcome, throughID: through))
                }
                if !outcomes.isEmpty { try await store.commit([.delivered(outcomes, atNanoseconds: 1)]) }
                if round % 17 == 0 { try await store.commit([.clockIsAssumed]) }
                if round % 13 == 0 { try await store.commit([.requeue(sink: nil, ids: nil)]) }
                if round % 11 == 0 {
                    try await store.commit([
                        .deleteRecording(name: "r\(round)", reason: "disk short", atNanoseconds: 1)
                    ])
                }
            }
            let counted = try await store.read { database in
                try DeliveryBacklog.fetchAll(
                    database,
                    sql: """
                        SELECT sink, kind, state, count(*) AS deliveries, sum(last_id - first_id + 1) AS facts,
                            sum(bytes) AS bytes, (SELECT first.created_ns FROM deliveries AS first WHERE first.id = (
                                SELECT min(id) FROM deliveries AS all_of WHERE all_of.sink = deliveries.sink
                                AND all_of.kind = deliveries.kind AND all_of.state = deliveries.state)) AS oldest_ns
                        FROM deliveries GROUP BY sink, kind, state ORDER BY sink, rank, state
                        """)
            }
            #expect(counted.count >= 5)
            #expect(try await store.backlog() == counted)
            #expect(try await store.deliveryCount() == counted.reduce(0) { $0 + Int($1.deliveries) })
            let bytes = counted.filter { $0.kind == .recording }.reduce(0) { $0 + $1.bytes }
            #expect(try await store.deliveries(kind: .recording, beyondBytes: bytes, limit: 10).isEmpty)
            #expect(try await store.deliveries(kind: .recording, beyondBytes: bytes - 1, limit: 10).count == 1)
        }
    }

    /// A database of the first version, as it was released.
    @Test func takesOverADatabaseOfTheFirstVersion() async throws {
        let folder = "\(NSTemporaryDirectory())/outbox-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = "\(folder)/edge.db"
        do {
            let pool = try DatabasePool(path: path)
            try Schema.migrator.migrate(pool, upTo: "1 listeners, recordings, detections, ledger")
            try await pool.write { database in
                try database.execute(
                    sql: """
                        INSERT INTO recordings (name, listener_id, run, run_offset_frames, relative_path, state, start_ns,
                            time_quality, boot_id, monotonic_ns, source, container, encoding, channels, sample_rate, analysis)
                        VALUES ('old', 'a', 0, 0, 'a/old', 'closed', 1, 'live', 'b', 0, 'stream', 'wav', 'signed16', 1, 48000,
                            'done')
                        """)
            }
            try pool.close()
        }
        let store = try Store(path: path)
        defer { store.close() }
        #expect(store.damagedCopy == nil)
        #expect(try store.recordingBlocking(name: "old")?.analysedNanoseconds == nil)
        #expect(try await store.deliveryCount() == 0)
    }
}
