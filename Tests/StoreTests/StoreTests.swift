import Foundation
import GRDB
import Testing

@testable import Store

@Suite struct StoreTests {
    private static let second: Int64 = 1_000_000_000

    @discardableResult
    private func withStore<Result>(
        _ options: Store.Options = Store.Options(), _ body: (Store, String) async throws -> Result
    ) async throws -> Result {
        let folder = "\(NSTemporaryDirectory())/store-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let store = try Store(path: "\(folder)/edge.db", options: options)
        defer { store.close() }
        return try await body(store, "\(folder)/edge.db")
    }

    private func recording(
        _ name: String, listener: String = "a", session: String? = "a/boot/1", run: Int = 0, offset: Int64 = 0,
        start: Int64 = 100, state: String = "open"
    ) -> RecordingRecord {
        RecordingRecord(
            name: name, listenerID: listener, sessionID: session, run: run, runOffsetFrames: offset,
            relativePath: "\(listener)/\(name)", state: state, startNanoseconds: start * Self.second,
            timeQuality: "live",
            bootID: "boot", monotonicNanoseconds: start * Self.second, source: "stream", container: "wav",
            encoding: "signed16",
            channels: 1,
            sampleRate: 48_000, analysis: "pending")
    }

    private func close(_ name: String, seconds: Int64, filled: Int64 = 0) -> StoreChange {
        .closeRecording(
            RecordingClose(
                name: name, frames: seconds * 48_000, durationNanoseconds: seconds * Self.second,
                filledNanoseconds: filled * Self.second, bytes: seconds * 96_000 + 44, timeQuality: nil,
                closedNanoseconds: 1))
    }

    private func detection(_ store: Store, start: Int64, species: String = "Parus major") throws -> DetectionRecord {
        let model = try store.modelID(name: "m", modelSHA256: "1", libraryVersion: "2", librarySHA256: "3")
        return DetectionRecord(
            listenerID: "a", recordingName: "r1", startNanoseconds: start * Self.second,
            endNanoseconds: (start + 3) * Self.second, offsetSeconds: Double(start - 100), scientificName: species,
            commonName: "Great Tit",
            label: "\(species)_Great Tit", confidence: 0.5, modelID: model, timeQuality: "live", sessionID: "a/boot/1",
            run: 0)
    }

    private func ledger(_ kind: String, _ reason: String, start: Int64, seconds: Int64) -> StoreChange {
        .ledger(
            LedgerEntry(
                listenerID: "a", sessionID: "a/boot/1", run: 0, recordingName: nil, kind: kind, reason: reason,
                startNanoseconds: start * Self.second, durationNanoseconds: seconds * Self.second, frames: 1, bytes: 1,
                notedNanoseconds: 0))
    }

    @Test func hasWhatItAcknowledgedOnDisk() async throws {
        try await withStore { store, path in
            try await store.commit([.openRecording(recording("r1"))])
            // Another program's connection sees it, and the journal was synced with FULL.
            let other = try DatabaseQueue(path: path)
            let count = try await other.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM recordings") }
            #expect(count == 1)
            let mode = try await store.pool.write { try Int.fetchOne($0, sql: "PRAGMA synchronous") }
            #expect(mode == 2)
        }
    }

    @Test func groupsManyCallersAndKeepsThemApart() async throws {
        try await withStore { store, _ in
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<400 {
                    group.addTask {
                        try? await store.commit([.openRecording(recording("r\(number)", offset: Int64(number)))])
                    }
                }
                group.addTask {
                    // A model that does not exist: refused, and nothing of this caller's stays.
                    var bad = try? detection(store, start: 1)
                    bad?.modelID = 99
                    await #expect(throws: StoreError.self) {
                        try await store.commit([.openRecording(recording("bad")), .detections([bad].compactMap { $0 })])
                    }
                }
            }
            var filter = RecordingFilter()
            filter.limit = 1000
            let rows = try await store.recordings(filter)
            #expect(rows.count == 400)
            #expect(!rows.contains { $0.name == "bad" })
            #expect(store.statistics.commits < 300)
        }
    }

    @Test func changesNothingTheSecondTime() async throws {
        try await withStore { store, _ in
            let changes: [StoreChange] = [
                .openSession(
                    SessionRecord(
                        id: "a/boot/1", listenerID: "a", bootID: "boot", counter: 1, openedNanoseconds: 1,
                        monotonicNanoseconds: 1, remoteAddress: "x", source: "stream")),
                .openRecording(recording("r1")), close("r1", seconds: 20),
                .detections([try detection(store, start: 103)]),
                ledger("gap", "frames missing", start: 120, seconds: 5),
                .analysed(recording: "r1", state: "done", windows: 7, error: nil, atNanoseconds: 0),
                .closeSession(
                    SessionClose(id: "a/boot/1", closedNanoseconds: 2, reason: "end of body", framesReceived: 9)),
            ]
            try await store.commit(changes)
            let first = (try await store.recordings(RecordingFilter()), try await store.detections(DetectionFilter()))
            try await store.commit(changes)
            let second = (try await store.recordings(RecordingFilter()), try await store.detections(DetectionFilter()))
            #expect(first.0 == second.0 && first.1 == second.1)
            #expect(try await store.ledger(listener: nil, kind: nil, beforeID: nil, limit: 10).count == 1)
            #expect(try store.openSessionsBlocking().isEmpty)
        }
    }

    @Test func movesARunWithoutLosingARow() async throws {
        try await withStore { store, _ in
            // Detections three seconds apart, moved by three seconds: each lands where another was.
            let detections = try (0..<10).map { try detection(store, start: 100 + Int64($0) * 3) }
            try await store.commit([.openRecording(recording("r1")), close("r1", seconds: 30), .detections(detections)])
            for shift in [-3, 6, -3] as [Int64] {
                try await store.commit([
                    .settleRun(
                        sessionID: "a/boot/1", run: 0, byNanoseconds: shift * Self.second, gapByNanoseconds: 0,
                        timeQuality: "inferred")
                ])
                #expect(try await store.detectionCount() == 10)
            }
            let starts = try await store.detections(DetectionFilter()).map(\.startNanoseconds).sorted()
            #expect(starts == detections.map(\.startNanoseconds))
            #expect(try await store.recording(name: "r1")?.timeQuality == "inferred")
        }
    }

    @Test func movesLinesOntoEachOthersPlacesWithoutLosingOne() async throws {
        try await withStore { store, _ in
            // Lines three seconds apart, moved by three seconds: each lands where another was.
            let lines = (0..<10).map { ledger("loss", "unsupported format", start: 100 + Int64($0) * 3, seconds: 1) }
            try await store.commit(lines)
            for shift in [-3, 6, -3, -30] as [Int64] {
                try await store.commit([
                    .settleRun(
                        sessionID: "a/boot/1", run: 0, byNanoseconds: shift * Self.second, gapByNanoseconds: 0,
                        timeQuality: "inferred")
                ])
            }
            let found = try await store.ledger(listener: nil, kind: nil, beforeID: nil, limit: 100)
            let expected = (0..<10).map { (70 + Int64($0) * 3) * Self.second }
            #expect(found.map(\.startNanoseconds).sorted() == expected)
        }
    }

    @Test func addsUpLinesThatAreOfTheSameMoment() async throws {
        try await withStore { store, _ in
            try await store.commit([
                ledger("loss", "unsupported format", start: 100, seconds: 1),
                ledger("loss", "unsupported format", start: 100, seconds: 2),
            ])
            let found = try await store.ledger(listener: nil, kind: nil, beforeID: nil, limit: 100)
            #expect(found.map(\.durationNanoseconds) == [3 * Self.second])
            #expect(found.map(\.frames) == [2] && found.map(\.bytes) == [2])
        }
    }

    /// The gap before a run shrinks when the run turns out to have been late, and is none when nothing is left of it.
    @Test func takesBackAGapThatWasNone() async throws {
        try await withStore { store, _ in
            let settle = { (gap: Int64) in
                StoreChange.settleRun(
                    sessionID: "a/boot/1", run: 0, byNanoseconds: gap * Self.second,
                    gapByNanoseconds: gap * Self.second,
                    timeQuality: "live")
            }
            try await store.commit([ledger("gap", "source paused", start: 100, seconds: 30), settle(-20)])
            let shorter = try await store.ledger(listener: nil, kind: nil, beforeID: nil, limit: 100)
            #expect(shorter.map(\.startNanoseconds) == [100 * Self.second])
            #expect(shorter.map(\.durationNanoseconds) == [10 * Self.second])
            try await store.commit([settle(-10)])
            #expect(try await store.ledger(listener: nil, kind: nil, beforeID: nil, limit: 100).isEmpty)
        }
    }

    @Test func aNameBelongsToOneRecording() async throws {
        try await withStore { store, _ in
            try await store.commit([.openRecording(recording("r1"))])
            try await store.commit([.openRecording(recording("r1"))])
            await #expect(throws: StoreError.self) {
                try await store.commit([.openRecording(recording("r1", session: "a/boot/2"))])
            }
        }
    }

    /// A recording's own lines are written when its file is closed, which may be after its run was settled.
    @Test func takesLinesAlongThatComeAfterARunWasMoved() async throws {
        try await withStore { store, _ in
            let line = LedgerEntry(
                recording: recording("r1"), placeNanoseconds: 4 * Self.second, durationNanoseconds: Self.second,
                kind: "filled", reason: "frames missing", bytes: 1, notedNanoseconds: 0)
            let move = StoreChange.settleRun(
                sessionID: "a/boot/1", run: 0, byNanoseconds: -50 * Self.second, gapByNanoseconds: 0,
                timeQuality: "inferred")
            try await store.commit([.openRecording(recording("r1")), move, close("r1", seconds: 10), .ledger(line)])
            let found = try await store.ledger(listener: nil, kind: nil, beforeID: nil, limit: 10)
            #expect(found.map(\.startNanoseconds) == [54 * Self.second])
        }
    }

    @Test func addsUpWhatWasHeardAndLost() async throws {
        try await withStore { store, _ in
            let voice = LedgerEntry(
                recording: recording("r2", run: 1, start: 125), placeNanoseconds: Self.second,
                durationNanoseconds: 3 * Self.second, kind: "loss", reason: "human voice", bytes: 0, notedNanoseconds: 0
            )
            // Said again after a power cut it counts once.
            let silenced = StoreChange.silenced(voice)
            // 20 s with 2 s filled, 5 s gap, 10 s with a voice of 3 s, 4 s lost: 39 s in all.
            try await store.commit([
                .openRecording(recording("r1", start: 100)), close("r1", seconds: 20, filled: 2),
                ledger("filled", "frames missing", start: 105, seconds: 2),
                ledger("gap", "frames missing", start: 120, seconds: 5),
                .openRecording(recording("r2", run: 1, start: 125)), close("r2", seconds: 10),
                silenced, silenced,
                ledger("loss", "disk full", start: 135, seconds: 4),
            ])
            let all = try await store.coverage(fromNanoseconds: 0, toNanoseconds: 1000 * Self.second)
            let one = try #require(all.first)
            #expect(one.heardNanoseconds == (18 + 7) * Self.second)
            #expect(one.filledNanoseconds == 2 * Self.second)
            #expect(one.gaps == ["frames missing": 5 * Self.second])
            #expect(one.losses == ["human voice": 3 * Self.second, "disk full": 4 * Self.second])
            #expect(one.accountedNanoseconds == 39 * Self.second)
            #expect(one.spannedNanoseconds == 39 * Self.second)
            let part = try await store.coverage(fromNanoseconds: 110 * Self.second, toNanoseconds: 122 * Self.second)
            #expect(part.first?.gaps == ["frames missing": 2 * Self.second])
            #expect(part.first?.spannedNanoseconds == 12 * Self.second)
        }
    }

    @Test func listsWhatWaitsFairlyAndNotWhatRunsOnIntoAnOpenRecording() async throws {
        try await withStore { store, _ in
            var changes: [StoreChange] = []
            for number in 0..<5 {
                changes += [
                    .openRecording(
                        recording("a\(number)", offset: Int64(number) * 960_000, start: 100 + Int64(number) * 20)),
                    close("a\(number)", seconds: 20),
                ]
            }
            changes.append(.openRecording(recording("a5", offset: 5 * 960_000, start: 200)))
            changes += [
                .openRecording(recording("b0", listener: "b", session: "b/boot/1", start: 900)),
                close("b0", seconds: 20),
            ]
            try await store.commit(changes)
            func names(
                _ listeners: Int, _ limit: Int, after: String = "", except: Set<String> = []
            ) throws -> (names: [String], continuation: String, isPart: Bool) {
                let found = try store.pendingAnalysisBlocking(
                    listeners: listeners, limit: limit, after: after, except: except)
                return (found.recordings.map(\.name), found.continuation, found.isPart)
            }
            // a4 runs on into a5, which is open.
            #expect(try names(10, 20) == (["a0", "b0", "a1", "a2", "a3"], "", false))
            #expect(try names(10, 2) == (["a0", "b0"], "", true))
            #expect(try names(10, 6, except: ["a0", "a1"]) == (["a2", "b0", "a3"], "", false))
            // So many listeners at a time, in turn.
            #expect(try names(1, 1) == (["a0"], "a", true))
            #expect(try names(1, 1, after: "a") == (["b0"], "b", true))
            #expect(try names(1, 1, after: "b") == ([], "", true))
            #expect(try store.unanalysedNamesBlocking() == ["a0", "a1", "a2", "a3", "a4", "a5", "b0"])
        }
    }

    /// The threads that analyse ask for what waits: that is found by indexes, however much of it there is.
    @Test func findsWhatWaitsWithoutReadingTheBacklog() async throws {
        try await withStore { store, _ in
            for sql in [PendingRecording.nextListener, PendingRecording.ofListener] {
                let plan = try await store.read { database in
                    try Row.fetchAll(database, sql: "EXPLAIN QUERY PLAN \(sql)", arguments: ["a"])
                        .map { $0["detail"] as String }
                }
                #expect(plan.contains { $0.contains("USING") && $0.contains("recordings_waiting") }, "\(plan)")
                #expect(!plan.contains { $0.contains("SCAN ") || $0.contains("TEMP B-TREE") }, "\(plan)")
            }
        }
    }

    @Test func putsADamagedDatabaseAsideAndStarts() async throws {
        let folder = "\(NSTemporaryDirectory())/store-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = "\(folder)/edge.db"
        try Data(repeating: 0x5A, count: 100_000).write(to: URL(fileURLWithPath: path))
        let store = try Store(path: path)
        #expect(store.damagedCopy == "\(path).damaged-1")
        #expect(try Data(contentsOf: URL(fileURLWithPath: "\(path).damaged-1")).count == 100_000)
        try await store.commit([.openRecording(recording("r1"))])
        store.close()
        #expect(try Store(path: path).damagedCopy == nil)
    }

    @Test func worksWithANewerDatabaseThatOnlyHasMore() async throws {
        try await withStore { store, path in
            try await store.pool.write {
                try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('8 more')")
                try $0.execute(sql: "ALTER TABLE recordings ADD COLUMN future TEXT")
            }
            try await store.commit([.openRecording(recording("r1"))])
            store.close()
            let older = try Store(path: path)
            #expect(older.notices.count == 1)
            #expect(try await older.recording(name: "r1") != nil)
            try await older.commit([.openRecording(recording("r2"))])
            older.close()
        }
    }

    @Test func goesBackToTheCopyOfBeforeWhenItCannotWorkWithANewerDatabase() async throws {
        try await withStore { store, path in
            try await store.commit([.openRecording(recording("r1"))])
            store.close()
            // What a newer program does at its start, as its migrations would: copy, change, raise the least reader.
            let copied = try SchemaHistory(path: path, level: Schema.level + 1).makeUsable()
            #expect(copied.first?.contains("\(path).level-\(Schema.level)") == true)
            let newer = try DatabaseQueue(path: path)
            try await newer.writeWithoutTransaction {
                try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('9 changed')")
                try $0.execute(sql: "ALTER TABLE recordings RENAME TO sounds")
                try $0.execute(sql: "PRAGMA user_version = 9")
            }
            try newer.close()
            let older = try Store(path: path)
            #expect(older.notices.first?.contains("\(path).newer-1") == true)
            #expect(try await older.recording(name: "r1") != nil)
            try await older.commit([.openRecording(recording("r2"))])
            older.close()
            #expect(FileManager.default.fileExists(atPath: "\(path).newer-1"))
        }
    }

    /// Each state that a power cut may leave behind, by hand: the next start has the new database, and the old one is kept.
    @Test(arguments: [0, 1, 2, 3])
    func bringsTheChangeOfDatabasesToItsEnd(moved: Int) async throws {
        try await withStore { store, path in
            try await store.commit([.openRecording(recording("old"))])
            let backup = "\(path).backup"
            try await store.commit([.openRecording(recording("also old"))])
            store.close()
            let made = try Store(path: backup)
            try await made.commit([.openRecording(recording("new"))])
            made.close()
            try DatabaseSwap(path: path, reason: .restore).begin(from: backup)
            for suffix in ["-wal", "-shm", ""].prefix(moved)
            where FileManager.default.fileExists(atPath: path + suffix) {
                try FileManager.default.moveItem(atPath: path + suffix, toPath: "\(path).before-restore-1\(suffix)")
            }
            let next = try Store(path: path)
            #expect(next.notices.count == 1)
            #expect(try await next.recording(name: "new") != nil)
            #expect(try await next.recording(name: "old") == nil)
            next.close()
            let old = try Store(path: "\(path).before-restore-1")
            #expect(try await old.recording(name: "old") != nil)
            #expect(try await old.recording(name: "also old") != nil)
            old.close()
            // Only once.
            let last = try Store(path: path)
            #expect(last.notices.isEmpty)
            #expect(try await last.recording(name: "new") != nil)
            last.close()
        }
    }

    /// A full disk has no room for a copy before a change: an older program that comes back begins anew beside it.
    @Test func beginsAnewBesideADatabaseOfANewerVersionWithoutACopyOfBefore() async throws {
        try await withStore { store, path in
            try await store.pool.writeWithoutTransaction {
                try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('99 from the future')")
                try $0.execute(sql: "PRAGMA user_version = 99")
            }
            store.close()
            let older = try Store(path: path)
            #expect(older.notices.first?.contains("\(path).newer-1") == true)
            try await older.commit([.openRecording(recording("r2"))])
            older.close()
            let kept = try DatabaseQueue(path: "\(path).newer-1")
            #expect(try await kept.read { try Int.fetchOne($0, sql: "PRAGMA user_version") } == 99)
        }
    }

    @Test func saysThatTheDiskIsFullAndGoesOnWhenThereIsRoom() async throws {
        var options = Store.Options()
        options.mostPages = 100
        try await withStore(options) { store, _ in
            var refusal: StoreError?
            for number in 0..<3000 where refusal == nil {
                do throws(StoreError) {
                    try await store.commit([.openRecording(recording("long-name-\(number)", offset: Int64(number)))])
                } catch {
                    refusal = error
                }
            }
            #expect(refusal?.code == .diskFull, "\(refusal?.description ?? "")")
            try await store.pool.write { try $0.execute(sql: "PRAGMA max_page_count = 1000") }
            try await store.commit([.openRecording(recording("after"))])
            #expect(try await store.recording(name: "after") != nil)
        }
    }

    @Test func refusesWhatItCannotQueue() async throws {
        var options = Store.Options()
        options.longestQueue = 0
        try await withStore(options) { store, _ in
            await #expect { try await store.commit([.openRecording(recording("r"))]) } throws: {
                ($0 as? StoreError)?.code == .overloaded
            }
        }
    }

    @Test func countsRunsThatHadNoEnd() async throws {
        try await withStore { store, _ in
            // It was not ended twice: within a boot, and with it.
            let first = try ["a", "a", "b"].map { try store.beginRunBlocking(bootID: $0) }
            store.endRunBlocking()
            let second = try store.beginRunBlocking(bootID: "b")
            store.endRunBlocking()
            let third = try store.beginRunBlocking(bootID: "c")
            #expect(
                first + [second, third] == [
                    RunCounts(starts: 1, crashes: 0, powerCuts: 0), RunCounts(starts: 2, crashes: 1, powerCuts: 0),
                    RunCounts(starts: 3, crashes: 1, powerCuts: 1), RunCounts(starts: 4, crashes: 1, powerCuts: 1),
                    RunCounts(starts: 5, crashes: 1, powerCuts: 1),
                ])
        }
    }
}
