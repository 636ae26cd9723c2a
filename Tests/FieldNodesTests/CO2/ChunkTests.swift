import EdgeTesting
import FieldNodes
import Testing

/// Whatever pieces of a file arrive in whatever order, each line is read whole.
struct ChunkTests {
    private typealias Progress = CO2FileProgress

    private static func lines(_ text: String, _ progress: inout Progress) -> [String] {
        var found: [String] = []
        progress.take(Array(text.utf8.dropFirst(Int(progress.readOffset)))[...]) { found.append(String($0.text)) }
        return found
    }

    @Test func endsALineWithItsLineFeedOnly() {
        var progress = Progress(recorded: 0, confirmed: 0)
        #expect(Self.lines("one\n\ntw", &progress) == ["one"])
        #expect(progress.position == 5)
        #expect(Self.lines("one\n\ntw", &progress) == [])
        #expect(Self.lines("one\n\ntwo", &progress) == [])
        #expect(Self.lines("one\n\ntwo\nthree", &progress) == ["two"])
        #expect(progress.position == 9)
        // The same from the stored positions.
        progress = Progress(recorded: 9, confirmed: 9)
        #expect(Self.lines("one\n\ntwo\nthree\n", &progress) == ["three"])
    }

    @Test func readsAgainWhatAnEarlierVersionHasRead() {
        for (recorded, confirmed, position, handled) in [
            (0, 0, 0, 0), (900, 900, 900, 0), (900, 0, 0, 900), (900, 400, 0, 900), (400, 900, 0, 400),
            (-1, 900, 0, 0), (-7, 0, 0, 0),
        ] as [(Int64, Int64, Int64, Int64)] {
            let progress = Progress(recorded: recorded, confirmed: confirmed)
            #expect(progress.position == position && progress.handledBytes == handled, "\(recorded), \(confirmed)")
        }
        var progress = Progress(recorded: 900, confirmed: 900)
        progress.restart()
        #expect(progress.position == 0 && progress.readOffset == 0)
    }

    @Test(arguments: [1, 5000, 65_535, 65_536, 65_537, 200_000])
    func handsOutALineThatIsTooLongOnceAndNothingOfItsRest(chunk: Int) {
        // Its end would be a line by itself.
        let long = String(repeating: "x", count: 150_000) + "co2unit-1\tend"
        let file = Array(("a\n" + long + "\nb\n").utf8)
        var progress = Progress(recorded: 0, confirmed: 0)
        var found: [CO2FileProgress.Line] = []
        // The file grows in chunks; each time it is read to its end, or as far as a reader reads at once.
        var size = 0
        while size < file.count {
            size = min(size + (chunk == 1 ? 997 : chunk), file.count)
            for _ in 0..<3 {
                let end = min(size, Int(progress.readOffset) + 70_000)
                progress.take(file[Int(progress.readOffset)..<max(Int(progress.readOffset), end)]) { found.append($0) }
            }
        }
        #expect(found.map(\.isTooLong) == [false, true, false])
        #expect(found.map(\.offset) == [0, 2, Int64(file.count - 2)])
        #expect(found.last?.text == "b")
        #expect((found.dropFirst().first?.text.utf8.count ?? 0) < 2000)
        #expect(progress.position == Int64(file.count))
    }

    // MARK: - Against a model

    /// A file on a unit's card, by its lines; the last may be without its line feed.
    private struct Written {
        var lines: [String] = []
        var isLastWhole = true
        var bytes: [UInt8] = []

        var whole: ArraySlice<String> { isLastWhole ? lines[...] : lines.dropLast() }

        /// - Parameter cut: how much of it is written before the unit loses its power; what it writes next is behind it.
        mutating func write(_ line: String, cut: Int?) {
            if isLastWhole { lines.append("") }
            let piece = cut.map { String(line.prefix($0)) } ?? line
            lines[lines.count - 1] += piece
            isLastWhole = cut == nil
            bytes += Array(piece.utf8) + (isLastWhole ? [0x0A] : [])
        }
    }

    /// The box's part: files, positions, and what was read, each once.
    private struct Box {
        var files: [Int: [UInt8]] = [:]
        var recorded: [Int: Int64] = [:]
        var confirmed: [Int: Int64] = [:]
        var readings: [Int: Set<String>] = [:]
        var handedOut = 0

        /// Returns what is acknowledged.
        mutating func push(_ file: Int, _ offset: Int, _ body: ArraySlice<UInt8>) -> Int {
            let stored = files[file] ?? []
            guard offset <= stored.count else { return stored.count }
            let overlap = stored[offset...].prefix(body.count)
            if overlap.elementsEqual(body.prefix(overlap.count)) {
                files[file] = stored + body.dropFirst(overlap.count)
            } else {
                files[file] = Array(stored[..<offset]) + body
                recorded[file] = min(recorded[file] ?? 0, 0) - 1
            }
            return offset + body.count
        }

        /// - Parameter isLost: it is killed before the transaction.
        mutating func read(_ file: Int, most: Int, isLost: Bool) {
            let stored = files[file] ?? []
            var progress = Progress(recorded: recorded[file] ?? 0, confirmed: confirmed[file] ?? 0)
            var found: [String] = []
            progress.take(stored[min(stored.count, Int(progress.readOffset))...].prefix(most)) {
                found.append(String($0.text))
            }
            if isLost { return }
            readings[file, default: []].formUnion(found)
            handedOut += found.count
            (recorded[file], confirmed[file]) = (progress.position, progress.position)
        }

        /// As versions before did: to the end of what is there when a later file exists, and of one position only.
        mutating func readAsBefore(_ file: Int) {
            let stored = files[file] ?? []
            let start = Int(max(0, recorded[file] ?? 0))
            let isFollowed = files[file + 1] != nil
            let end = isFollowed ? stored.count : (stored.lastIndex(of: 0x0A) ?? -1) + 1
            if end > start { recorded[file] = Int64(end) }
        }
    }

    @Test(arguments: 1...24)
    func readsEveryLineWholeAndNothingElse(run: UInt64) {
        var seeds = SeededGenerator()
        for _ in 0..<run { _ = seeds.next() }
        let seed = seeds.next()
        var random = SeededGenerator(seed: seed, name: "readsEveryLineWholeAndNothingElse(\(run))")
        // Without kills, new cards and earlier versions each line is handed out exactly once.
        let isCalm = run % 3 == 0
        var unit: [Int: Written] = [:]
        var box = Box()
        /// Whole lines that were ever on the unit's cards.
        var all: [Int: Set<String>] = [:]
        /// Of each file on the card: how much the unit has sent from its beginning on.
        var shown: [Int: Int] = [:]
        var number = 0
        let chunk = Bool.random(using: &random) ? 4096 : nil
        for turn in 0..<1500 {
            let last = turn / 500
            if Int.random(in: 0..<3, using: &random) == 0 {
                number += 1
                let text = "line \(number) " + String(repeating: "x", count: Int.random(in: 0...180, using: &random))
                let isCut = Int.random(in: 0..<40, using: &random) == 0
                let cut = Int.random(in: 1...text.count, using: &random)
                var written = unit[last] ?? Written()
                written.write(text, cut: isCut ? cut : nil)
                // An empty line.
                if written.isLastWhole, Int.random(in: 0..<50, using: &random) == 0 { written.bytes.append(0x0A) }
                if let whole = written.whole.last { all[last, default: []].insert(whole) }
                unit[last] = written
            }
            // Any file, from anywhere up to what was sent: sent again, rewound, or in a new order.
            let file = Int.random(in: 0...last, using: &random)
            guard let written = unit[file] else { continue }
            let sent = shown[file] ?? 0
            let offset =
                switch Int.random(in: 0..<8, using: &random) {
                case 0: Int.random(in: 0...sent, using: &random)
                case 1: 0
                // Another server was told of more.
                case 2: sent + Int.random(in: 1...5000, using: &random)
                default: sent
                }
            let size = chunk ?? Int.random(in: 1...9000, using: &random)
            let body = written.bytes.dropFirst(offset).prefix(size)
            if offset <= sent {
                #expect(box.push(file, offset, body) == offset + body.count)
                shown[file] = max(sent, offset + body.count)
            } else {
                let stored = box.files[file]?.count ?? 0
                if !body.isEmpty, offset > stored { #expect(box.push(file, offset, body) == stored) }
            }
            if Bool.random(using: &random) {
                let isLost = !isCalm && Int.random(in: 0..<5, using: &random) == 0
                box.read(file, most: Int.random(in: 65_538...262_144, using: &random), isLost: isLost)
            }
            if isCalm { continue }
            switch Int.random(in: 0..<400, using: &random) {
            case 0...19: box.readAsBefore(file)
            case 20:
                // A new card: other lines in a file of the same name, sent from its beginning.
                unit[file] = Written()
                for _ in 0..<Int.random(in: 1...30, using: &random) {
                    number += 1
                    unit[file]?.write("new \(number) \(String(repeating: "y", count: number % 90))", cut: nil)
                }
                all[file, default: []].formUnion(unit[file]?.whole ?? [])
                let first = unit[file]?.bytes.prefix(size) ?? []
                _ = box.push(file, 0, first)
                shown[file] = first.count
            default: break
            }
        }
        for (file, written) in unit {
            while let sent = shown[file], sent < written.bytes.count {
                let body = written.bytes[sent...].prefix(4096)
                shown[file] = box.push(file, sent, body)
                box.read(file, most: 262_144, isLost: false)
            }
            for _ in 0..<4 { box.read(file, most: 262_144, isLost: false) }
            let readings = box.readings[file] ?? []
            #expect(box.files[file]?.prefix(written.bytes.count).elementsEqual(written.bytes) == true)
            #expect(Set(written.whole).subtracting(readings).isEmpty, "seed \(seed): lines of file \(file) are missing")
            #expect(readings.subtracting(all[file] ?? []).isEmpty, "seed \(seed): file \(file) has no such lines")
        }
        if isCalm {
            #expect(box.handedOut == box.readings.values.reduce(0) { $0 + $1.count }, "seed \(seed): read twice")
        }
    }

    /// Short lines take many times their bytes of memory, so they are handed out in parts; nothing is lost between them.
    @Test func handsOutABoundedNumberOfLines() {
        let file = Array((0..<1000).map { "\($0)\n\n" }.joined().utf8) + Array("half".utf8)
        var progress = CO2FileProgress(recorded: 0, confirmed: 0)
        var all: [String] = []
        var parts: [Int] = []
        var hasMore = true
        while hasMore {
            var some: [String] = []
            hasMore = progress.take(file[Int(progress.readOffset)...], mostLines: 300) { some.append(String($0.text)) }
            parts.append(some.count)
            all += some
        }
        #expect(parts == [300, 300, 300, 100])
        #expect(all == (0..<1000).map { "\($0)" })
        #expect(progress.position == Int64(file.count - 4))
    }
}
