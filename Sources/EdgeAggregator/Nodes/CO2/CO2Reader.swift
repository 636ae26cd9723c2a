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
/// costs nothing: at the start every file that holds more than was read is read on.
final class CO2Reader: Service, Sendable {
    private struct Place: Hashable {
        let unit: NodeID
        let path: PushPath
    }

    private let house: NodeHouse
    let depot: CO2Depot
    private let waiting = Mutex<Set<Place>>([])
    private let bell: AsyncStream<Void>
    private let ringer: AsyncStream<Void>.Continuation

    /// Of one file at a time, and files that share a transaction.
    private static let stretchBytes = 262_144
    private static let filesTogether = 64

    init(house: NodeHouse, depot: CO2Depot) {
        self.house = house
        self.depot = depot
        (bell, ringer) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// A file has more to read.
    func note(_ unit: NodeID, _ path: PushPath) {
        _ = waiting.withLock { $0.insert(Place(unit: unit, path: path)) }
        ringer.yield()
    }

    var waitingCount: Int { waiting.withLock { $0.count } }

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            await withTaskExecutorPreference(house.executor) {
                await lookForUnread()
                for await _ in bell {
                    while !Task.isCancelled, await readSome() {}
                }
            }
        }
    }

    /// What was pushed and not read before the last end.
    private func lookForUnread() async {
        let parsed = (try? await house.store.parsedFiles(kind: NodeKind.co2.rawValue)) ?? [:]
        for file in Self.files(in: depot.folder)
        where parsed["\(file.unit.text)/\(file.path)", default: 0] != file.bytes {
            note(file.unit, file.path)
        }
    }

    /// Every file that a unit may have pushed.
    static func files(in folder: String) -> [(unit: NodeID, path: PushPath, bytes: Int64)] {
        let units = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return units.sorted().compactMap { NodeID(.co2, $0) }.flatMap { unit in
            FolderFiles.all(below: "\(folder)/\(unit.text)").compactMap { file in
                PushPath(file.path).map { (unit, $0, file.bytes) }
            }
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
        var changes: [StoreChange] = []
        var unfinished: [Place] = []
        for place in places {
            guard let stretch = await read(place) else { continue }
            changes += stretch.changes
            if stretch.hasMore { unfinished.append(place) }
        }
        do {
            try await house.store.commit(changes)
            for place in unfinished { note(place.unit, place.path) }
        } catch {
            house.logger.error(
                "What CO2 units have pushed could not be read into the store; it is tried again",
                metadata: ["files": "\(places.count)", "error": "\(error)"])
            waiting.withLock { $0.formUnion(places) }
            try? await Task.sleep(for: .seconds(5))
        }
        return true
    }

    private func read(_ place: Place) async -> (changes: [StoreChange], hasMore: Bool)? {
        let key = place.unit.key
        guard let parsed = try? await house.store.parsedBytes(key, path: place.path.text) else {
            return ([], true)
        }
        let start = max(0, parsed)
        guard let (bytes, size) = depot.read(place.unit, place.path, from: start, most: Self.stretchBytes),
            !bytes.isEmpty
        else { return nil }
        let isEnd = start + Int64(bytes.count) == size && isFollowed(place)
        let parser = CO2FileParser(unit: place.unit, path: place.path, nowNanoseconds: house.time.now().utcNanoseconds)
        let result = parser.parse(bytes, at: start, isEnd: isEnd)
        let metrics = house.metrics.co2
        metrics.readings.add(Int64(result.readings))
        metrics.rejected.add(Int64(result.rejected))
        var taken = result.taken
        // A line that is longer than a stretch is none.
        if taken == 0, bytes.count == Self.stretchBytes { taken = bytes.count }
        if taken == 0 { return nil }
        if start == 0 { notePrevious(place) }
        let end = start + Int64(taken)
        return (
            result.changes + [.nodeFileRead(key, path: place.path.text, from: parsed, to: end)], end < size
        )
    }

    private static let readings = FileSequence(prefix: "readings-", suffix: ".tsv")

    private func neighbour(_ place: Place, _ step: Int) -> PushPath? {
        guard place.path.isReadings, let number = Self.readings.number(of: place.path.name), number + step >= 0 else {
            return nil
        }
        return PushPath("\(place.path.folder)/\(Self.readings.name(number + step))")
    }

    /// Whether the unit writes to a later file already: then the last line of this one stays as it is.
    ///
    /// Memory: the path is borrowed for the call.
    private func isFollowed(_ place: Place) -> Bool {
        neighbour(place, 1).map { unsafe access(depot.path(place.unit, $0), F_OK) == 0 } ?? false
    }

    /// Memory: the path is borrowed for the call.
    private func notePrevious(_ place: Place) {
        if let before = neighbour(place, -1), unsafe access(depot.path(place.unit, before), F_OK) == 0 {
            note(place.unit, before)
        }
    }
}

/// Reads stretches of a unit's file.
struct CO2FileParser {
    let unit: NodeID
    let path: PushPath
    /// UTC.
    let nowNanoseconds: Int64

    struct Result {
        var changes: [StoreChange] = []
        /// Bytes of whole lines.
        var taken = 0
        var readings = 0
        var rejected = 0
        var nickname: String?
    }

    static let layout = ReadingLayout(CO2Reading.layout)

    func parse(_ bytes: [UInt8], at offset: Int64, isEnd: Bool) -> Result {
        if path.isReadings { return readings(bytes, isEnd: isEnd) }
        if path.isErrors { return errors(bytes, at: offset, isEnd: isEnd) }
        var result = Result()
        result.taken = bytes.count
        return result
    }

    private func readings(_ bytes: [UInt8], isEnd: Bool) -> Result {
        var result = Result()
        var batch = ReadingBatch(key: unit.key, layout: Self.layout)
        var rejected: [RejectedLineRecord] = []
        func reject(_ line: RejectedLine) {
            result.rejected += 1
            rejected.append(
                RejectedLineRecord(
                    key: unit.key, line: line.line, reason: line.reason, lastNanoseconds: nowNanoseconds))
        }
        result.taken = CO2Lines.split(bytes[...], isEnd: isEnd) { line, _, isCut in
            do {
                let reading = try CO2Reading(line: line, isCut: isCut)
                guard reading.unitID == unit.text else {
                    return reject(RejectedLine(line, "it is of \(reading.unitID), in the folder of \(unit.text)"))
                }
                batch.add(timeNanoseconds: reading.timeSeconds * 1_000_000_000, reading.values)
                result.nickname = reading.nickname ?? result.nickname
            } catch let line as RejectedLine {
                reject(line)
            } catch {
                reject(RejectedLine(line, "the unit's clock was not set"))
            }
        }
        result.readings = batch.count
        if !batch.isEmpty { result.changes.append(.readings(batch)) }
        if !rejected.isEmpty { result.changes.append(.rejectedLines(rejected)) }
        return result
    }

    private func errors(_ bytes: [UInt8], at offset: Int64, isEnd: Bool) -> Result {
        var result = Result()
        var lines: [(line: Substring, position: Int64)] = []
        result.taken = CO2Lines.split(bytes[...], isEnd: isEnd) { line, before, _ in
            lines.append((line, offset + Int64(before)))
        }
        let records = lines.indices.compactMap { place -> NodeErrorRecord? in
            guard CO2ErrorEntry.begins(lines[place].line) else { return nil }
            let next = place + 1 < lines.count ? lines[place + 1].line : nil
            let entry = CO2ErrorEntry(line: lines[place].line, next: next)
            return NodeErrorRecord(
                position: lines[place].position, timeNanoseconds: entry.timeSeconds.map { $0 * 1_000_000_000 },
                level: entry.level, type: entry.type, message: entry.message)
        }
        if !records.isEmpty { result.changes.append(.nodeErrors(unit.key, path: path.text, records)) }
        return result
    }
}
