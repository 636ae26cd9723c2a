import FieldNodes
import Foundation
import Logging
import Sensors
import ServiceLifecycle
import Store
import Synchronization

/// Turns what units have pushed into readings and errors in the store, as soon as it is there.
///
/// The files are the truth; how far each has been read is written down in the same transaction as what was read. So a crash
/// costs nothing: at the start every file that holds more than was read is read on. Which bytes are whole lines, and where
/// reading goes on, is decided by ``CO2FileProgress``.
final class CO2Reader: Service, Sendable {
    private struct Place: Hashable {
        let unit: NodeID
        let path: PushPath
    }

    private let house: NodeHouse
    let depot: CO2Depot
    private let waiting = Mutex<Set<Place>>([])
    private let again = Mutex(Again())
    private let bell = Bell()

    /// What is remembered between reads.
    private struct Again {
        /// Files that exist and could not be read.
        var unreadable: Set<Place> = []
        /// Folders that exist and could not be listed, and files there of which the size is unknown.
        var unlisted: Set<String> = []
        /// Files that are read again from their beginning, and up to where an earlier version had read them.
        var handled: [Place: Int64] = [:]
        /// The oldest reading of each unit with such files.
        var oldest: [NodeID: Int64] = [:]
    }

    /// Of one file at a time; more than the longest line.
    private static let stretchBytes = 262_144
    /// Lines of one file at a time: a rejected line takes some 500 bytes of memory, however short it is. Lines of units have 90
    /// bytes, so that this is more than the bytes hold.
    private static let stretchLines = 4096
    /// Files, bytes and lines that share a transaction.
    private static let filesTogether = 64
    private static let bytesTogether = 1_048_576
    private static let linesTogether = 8192
    /// Between two attempts to read what could not be read. The first pause; each is twice as long as the one before.
    private static let firstPause = Duration.seconds(2)
    private static let maximumPause = Duration.seconds(300)
    /// Nothing is wrong: only a push ends the wait.
    private static let idle = Duration.seconds(86_400)

    init(house: NodeHouse, depot: CO2Depot) {
        self.house = house
        self.depot = depot
    }

    /// A file has more to read.
    func note(_ unit: NodeID, _ path: PushPath) {
        _ = waiting.withLock { $0.insert(Place(unit: unit, path: path)) }
        bell.ring()
    }

    var waitingCount: Int { waiting.withLock { $0.count } }

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            await withTaskExecutorPreference(house.executor) {
                await lookForUnread()
                var pause = Self.firstPause
                var due: ContinuousClock.Instant?
                while !Task.isCancelled {
                    if !hasFailures {
                        due = nil
                        pause = Self.firstPause
                    } else if due == nil {
                        due = .now + pause
                    }
                    await bell.wait(atMost: due.map { ContinuousClock.now.duration(to: $0) } ?? Self.idle)
                    if let time = due, time <= .now, !Task.isCancelled {
                        await retryFailures()
                        due = nil
                        pause = min(pause * 2, Self.maximumPause)
                    }
                    while !Task.isCancelled, await readSome() {}
                    again.withLock { $0.oldest = [:] }
                }
            }
        }
    }

    private var hasFailures: Bool { again.withLock { !$0.unreadable.isEmpty || !$0.unlisted.isEmpty } }

    /// What was pushed and not read before the last end, and what an earlier version has read.
    private func lookForUnread() async {
        let parsed = (try? await house.store.parsedFiles(kind: NodeKind.co2.rawValue)) ?? [:]
        var failures: [FolderFiles.Failure] = []
        let files = Self.files(in: depot.folder) { failures.append($0) }
        noteUnlisted(failures)
        for file in files {
            let recorded = parsed["\(file.unit.text)/\(file.path)", default: 0]
            let confirmed = parsed["\(file.unit.text)/\(Self.confirmation(file.path))", default: 0]
            if recorded != file.bytes || confirmed != recorded { note(file.unit, file.path) }
        }
    }

    /// The name under which the position of whole lines is stored, beside the file's own. No file can have it.
    private static func confirmation(_ path: PushPath) -> String { "lines:\(path.text)" }

    private func retryFailures() async {
        let (places, isUnlisted) = again.withLock { ($0.unreadable, !$0.unlisted.isEmpty) }
        waiting.withLock { $0.formUnion(places) }
        if isUnlisted { await lookForUnread() }
    }

    /// Every file that a unit may have pushed.
    ///
    /// - Parameter onFailure: Is told what cannot be listed now. What is in it is missing from the result.
    static func files(
        in folder: String, onFailure: (FolderFiles.Failure) -> Void = { _ in }
    ) -> [(unit: NodeID, path: PushPath, bytes: Int64)] {
        var files: [(unit: NodeID, path: PushPath, bytes: Int64)] = []
        for unit in FolderFiles.names(in: folder, onFailure: onFailure).compactMap({ NodeID(.co2, $0) }) {
            for file in FolderFiles.all(below: "\(folder)/\(unit.text)", onFailure: onFailure) {
                if let path = PushPath(file.path) { files.append((unit, path, file.bytes)) }
            }
        }
        return files
    }

    /// Each is logged once until it can be listed again.
    private func noteUnlisted(_ failures: [FolderFiles.Failure]) {
        let known = again.withLock { again in
            defer { again.unlisted = Set(failures.map(\.path)) }
            return again.unlisted
        }
        for failure in failures where !known.contains(failure.path) {
            house.logger.error(
                "A folder of units' files cannot be listed; new readings there may be missing, and it is tried again",
                metadata: ["path": "\(failure.path)", "error": "\(failure.text)"])
        }
    }

    /// False when nothing waits.
    private func readSome() async -> Bool {
        let places = waiting.withLock { waiting in
            let some = Array(waiting.prefix(Self.filesTogether))
            waiting.subtract(some)
            return some
        }
        guard !places.isEmpty else { return false }
        do {
            var changes: [StoreChange] = []
            var unfinished: [Place] = []
            var (bytes, lines) = (0, 0)
            for place in places {
                guard bytes < Self.bytesTogether, lines < Self.linesTogether else {
                    unfinished.append(place)
                    continue
                }
                guard let stretch = try await read(place) else { continue }
                changes += stretch.changes
                bytes += stretch.bytes
                lines += stretch.lines
                if stretch.hasMore { unfinished.append(place) }
            }
            try await house.store.commit(changes)
            waiting.withLock { $0.formUnion(unfinished) }
        } catch {
            house.logger.error(
                "What CO2 units have pushed could not be read into the store; it is tried again",
                metadata: ["files": "\(places.count)", "error": "\(error)"])
            waiting.withLock { $0.formUnion(places) }
            try? await Task.sleep(for: .seconds(5))
        }
        return true
    }

    private struct Stretch {
        var changes: [StoreChange]
        let bytes: Int
        let lines: Int
        let hasMore: Bool
    }

    /// Nil when there is nothing new in the file.
    private func read(_ place: Place) async throws -> Stretch? {
        let key = place.unit.key
        let confirmation = Self.confirmation(place.path)
        let recorded = try await house.store.parsedBytes(key, path: place.path.text)
        let confirmed = try await house.store.parsedBytes(key, path: confirmation)
        var progress = CO2FileProgress(recorded: recorded, confirmed: confirmed)
        guard var file = stretch(place, from: progress.readOffset) else { return nil }
        if file.size < progress.position {
            progress.restart()
            guard let all = stretch(place, from: 0) else { return nil }
            file = all
        }
        let start = progress.position
        let end = progress.readOffset + Int64(file.bytes.count)
        let handled = handledBytes(of: place, progress, isAnew: recorded < 0)
        var result = CO2FileParser.Result()
        var lines: [CO2FileProgress.Line] = []
        var isEnd = end >= file.size
        if place.path.isReadings || place.path.isErrors {
            if progress.take(file.bytes[...], mostLines: Self.stretchLines, { lines.append($0) }) { isEnd = false }
            var parser = CO2FileParser(
                unit: place.unit, path: place.path, nowNanoseconds: house.time.now().utcNanoseconds)
            parser.handledBytes = handled
            if handled > 0, place.path.isReadings { parser.oldestNanoseconds = try await oldest(of: place.unit) }
            result = parser.parse(lines)
            if let offset = result.waitsAt { progress.wait(at: offset) }
        } else {
            progress.skip(to: end)
        }
        let position = progress.position
        again.withLock {
            $0.unreadable.remove(place)
            $0.handled[place] = position < handled && !isEnd ? handled : nil
        }
        // Of a file that was begun again nothing is noted before something of it was read: its number stays.
        let isNoted = position == recorded && position == confirmed || recorded < 0 && position == 0
        if isNoted, result.changes.isEmpty { return nil }
        house.metrics.co2.readings.add(Int64(result.readings))
        house.metrics.co2.rejected.add(Int64(result.rejected))
        if !isNoted {
            result.changes.append(.nodeFileRead(key, path: place.path.text, from: recorded, to: position))
            result.changes.append(.nodeFileRead(key, path: confirmation, from: confirmed, to: position))
        }
        return Stretch(
            changes: result.changes, bytes: file.bytes.count, lines: lines.count, hasMore: !isEnd && position > start)
    }

    /// Up to where an earlier version has read a file that is read again now, over all its stretches.
    private func handledBytes(of place: Place, _ progress: CO2FileProgress, isAnew: Bool) -> Int64 {
        again.withLock { again in
            if isAnew { again.handled[place] = nil }
            return max(progress.handledBytes, again.handled[place] ?? 0)
        }
    }

    /// What is older was forgotten (`history_max_age_days`, `history_max_bytes`) and does not come back.
    private func oldest(of unit: NodeID) async throws -> Int64 {
        if let known = again.withLock({ $0.oldest[unit] }) { return known }
        let oldest = try await house.store.eachReading(
            unit.key, layout: CO2FileParser.layout, fromNanoseconds: .min, into: Int64.max
        ) { oldest, reading in oldest = min(oldest, reading.timeNanoseconds) }
        // Where there is none, nothing can come twice.
        let known = oldest == .max ? Int64.min : oldest
        again.withLock { $0.oldest[unit] = known }
        return known
    }

    /// Nil when the file is not there, or cannot be read now. One that cannot be read is logged once, and tried again by
    /// ``run()`` until it can; other files do not wait for it.
    private func stretch(_ place: Place, from offset: Int64) -> (bytes: [UInt8], size: Int64)? {
        do {
            if let file = try depot.read(place.unit, place.path, from: offset, most: Self.stretchBytes) { return file }
            _ = again.withLock { $0.unreadable.remove(place) }
        } catch {
            if again.withLock({ $0.unreadable.insert(place).inserted }) {
                house.logger.error(
                    "A unit's file cannot be read; its new readings are missing, and it is tried again",
                    metadata: ["file": "\(depot.path(place.unit, place.path))", "error": "\(error)"])
            }
        }
        return nil
    }
}

/// Makes readings and errors of the lines of a unit's file.
struct CO2FileParser {
    let unit: NodeID
    let path: PushPath
    /// UTC.
    let nowNanoseconds: Int64
    /// Lines that begin before were handled by an earlier version: what it rejected is not counted twice.
    var handledBytes: Int64 = 0
    /// Among those lines, readings before this time are left out.
    var oldestNanoseconds = Int64.min

    struct Result {
        var changes: [StoreChange] = []
        /// Bytes of whole lines.
        var taken = 0
        var readings = 0
        var rejected = 0
        var nickname: String?
        /// Where a line begins that waits for the line after it.
        var waitsAt: Int64?
    }

    static let layout = ReadingLayout(CO2Reading.layout)

    private struct Line {
        let text: Substring
        let offset: Int64
        var isCut = false
        var isTooLong = false
    }

    /// Whole lines of a file that units push.
    func parse(_ lines: [CO2FileProgress.Line]) -> Result {
        parse(lines.map { Line(text: $0.text, offset: $0.offset, isTooLong: $0.isTooLong) })
    }

    /// All of a file that the operator hands over.
    ///
    /// - Parameter isEnd: whether the operator says that it is complete, so that its last line needs no line feed.
    func parse(_ bytes: [UInt8], at offset: Int64, isEnd: Bool) -> Result {
        guard path.isReadings || path.isErrors else { return Result(taken: bytes.count) }
        var lines: [Line] = []
        let taken = CO2Lines.split(bytes[...], isEnd: isEnd) { text, before, isCut in
            lines.append(Line(text: text, offset: offset + Int64(before), isCut: isCut))
        }
        var result = parse(lines)
        result.taken = taken
        return result
    }

    private func parse(_ lines: [Line]) -> Result { path.isReadings ? readings(lines) : errors(lines) }

    private func readings(_ lines: [Line]) -> Result {
        var result = Result()
        var batch = ReadingBatch(key: unit.key, layout: Self.layout)
        // An earlier version, or an import, may have read parts of lines. The mean is of fewer measurements there.
        if handledBytes > 0 { batch.completesApartFrom = [0] }
        var rejected: [RejectedLineRecord] = []
        func reject(_ line: RejectedLine) {
            result.rejected += 1
            rejected.append(
                RejectedLineRecord(
                    key: unit.key, line: line.line, reason: line.reason, lastNanoseconds: nowNanoseconds))
        }
        for line in lines {
            let isHandled = line.offset < handledBytes
            do {
                if line.isTooLong {
                    throw RejectedLine(line.text, "it has more than \(CO2FileProgress.mostLineBytes) bytes")
                }
                let reading = try CO2Reading(line: line.text, isCut: line.isCut)
                guard reading.unitID == unit.text else {
                    throw RejectedLine(line.text, "it is of \(reading.unitID), in the folder of \(unit.text)")
                }
                let time = reading.timeSeconds * 1_000_000_000
                if isHandled, time < oldestNanoseconds { continue }
                batch.add(timeNanoseconds: time, reading.values)
                result.nickname = reading.nickname ?? result.nickname
                if !isHandled { result.readings += 1 }
            } catch let line as RejectedLine {
                if !isHandled { reject(line) }
            } catch {
                if !isHandled { reject(RejectedLine(line.text, "the unit's clock was not set")) }
            }
        }
        if !batch.isEmpty { result.changes.append(.readings(batch)) }
        if !rejected.isEmpty { result.changes.append(.rejectedLines(rejected)) }
        return result
    }

    private func errors(_ lines: [Line]) -> Result {
        var result = Result()
        let records = lines.indices.compactMap { place -> NodeErrorRecord? in
            let line = lines[place]
            guard CO2ErrorEntry.begins(line.text) else { return nil }
            let next = place + 1 < lines.count ? lines[place + 1].text : nil
            // The store replaces an entry of the same place, so it is told at once and completed later.
            if next == nil, CO2ErrorEntry.needsNext(line.text) { result.waitsAt = line.offset }
            let entry = CO2ErrorEntry(line: line.text, next: next)
            return NodeErrorRecord(
                position: line.offset, timeNanoseconds: entry.timeSeconds.map { $0 * 1_000_000_000 },
                level: entry.level, type: entry.type, message: entry.message)
        }
        if !records.isEmpty { result.changes.append(.nodeErrors(unit.key, path: path.text, records)) }
        return result
    }
}
