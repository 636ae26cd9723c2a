import EdgeTesting
import FieldNodes
import Testing

/// What a push means, and that a stock unit always gets on with the answers.
struct PushTests {
    private func verdict(_ stored: String, _ offset: Int64, _ body: String) -> PushVerdict {
        let stored = Array(stored.utf8)
        let body = Array(body.utf8)
        let overlap = offset < stored.count ? Array(stored[Int(offset)...].prefix(body.count)) : []
        return body.withUnsafeBytes { body in
            overlap.withUnsafeBytes {
                PushVerdict(offset: offset, body: body, storedBytes: Int64(stored.count), overlap: $0)
            }
        }
    }

    @Test func acknowledgesWhatTheUnitHasShown() {
        #expect(verdict("", 0, "hello") == .follows(skip: 0, acknowledged: 5))
        #expect(verdict("hello", 5, " you") == .follows(skip: 0, acknowledged: 9))
        // Sent again, whole, in part, and with something new behind it.
        #expect(verdict("hello", 0, "hello") == .follows(skip: 5, acknowledged: 5))
        #expect(verdict("hello", 0, "hel") == .follows(skip: 3, acknowledged: 3))
        #expect(verdict("hello", 3, "lo, you") == .follows(skip: 2, acknowledged: 10))
        // One byte beyond is a hole too.
        #expect(verdict("hello", 6, "x") == .gap(storedBytes: 5))
        #expect(verdict("", 5_000_000, "x") == .gap(storedBytes: 0))
        // Another file of the same name.
        #expect(verdict("hello", 0, "hallo") == .replaces(keep: 0, acknowledged: 5))
        #expect(verdict("hello", 2, "LP") == .replaces(keep: 2, acknowledged: 4))
        #expect(verdict("hello", 5, "") == .follows(skip: 0, acknowledged: 5))
    }

    @Test func answersInTheFormerServersWords() {
        #expect(
            PushVerdict.answer(name: "readings-0000.tsv", acknowledged: 11, isGap: false)
                == "{\"ack_file\": [\"readings-0000.tsv\", 11, 11]}\n")
        #expect(
            PushVerdict.answer(name: "readings-0000.tsv", acknowledged: 11, isGap: true)
                == "{\"error\": \"SKIPPED_PART_OF_FILE\", \"ack_file\": [\"readings-0000.tsv\", 11, 11]}\n")
    }

    @Test(arguments: [
        ("data/readings/readings-0000.tsv", true), ("errors/errors-0000.txt", true), ("updates/update-1/x", false),
        ("data/../updates/x", false), ("data", false), ("data/", false), ("/data/x", false), ("data/.x", false),
        ("data/a/b/c/d", false), ("data/x\u{0}", false), ("data/x\n", false), ("data/%2e%2e", false), ("var/x", false),
        ("data/" + String(repeating: "x", count: 65), false),
    ])
    func letsUnitsWriteOnlyTheirOwn(path: String, isWritable: Bool) {
        #expect((PushPath(path) != nil) == isWritable)
    }

    @Test(arguments: [
        ("co2unit-30aea42a5140", true), ("..", false), (".hidden", false), ("a/b", false), ("", false),
        ("manual", false),
        ("ä", false), ("x y", false),
    ])
    func makesFoldersOfPlainNamesOnly(unit: String, isName: Bool) {
        #expect((NodeID(.co2, unit) != nil) == isName)
    }

    /// A unit as its firmware has it: it goes where it is told, and stops for good at an answer beyond its own file.
    private struct Unit {
        var files: [String: [UInt8]] = [:]
        var name: String?
        var progress = 0
        static let chunk = 64

        var names: [String] { files.keys.sorted() }

        mutating func next() -> (name: String, offset: Int, body: [UInt8])? {
            if name == nil { name = names.first }
            while let current = name {
                let file = files[current] ?? []
                if progress < file.count { return (current, progress, Array(file[progress...].prefix(Self.chunk))) }
                guard let later = names.first(where: { $0 > current }) else { return nil }
                (name, progress) = (later, 0)
            }
            return nil
        }

        mutating func hear(_ acknowledged: String, _ bytes: Int64, sent: Int) -> Bool {
            progress += sent
            guard let file = files[acknowledged] else {
                (name, progress) = (nil, 0)
                return true
            }
            guard bytes <= file.count else { return false }
            (name, progress) = (acknowledged, Int(bytes))
            return true
        }
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64])
    func bringsEveryUnitToTheEnd(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var stored: [String: [UInt8]] = [:]
        var unit = Unit()
        func line() -> [UInt8] {
            (0..<Int.random(in: 20...90, using: &random)).map { _ in UInt8.random(in: 32...90, using: &random) } + [10]
        }
        for turn in 0..<400 {
            // What happens to units in the field.
            let file = "readings-000\(turn / 100).tsv"
            unit.files[file, default: []] += line()
            switch Int.random(in: 0..<40, using: &random) {
            case 0: (unit.name, unit.progress) = (nil, 0)
            case 1: unit.files[file] = line()
            case 2:
                // Another server was told of more than this one.
                unit.name = file
                unit.progress = unit.files[file]?.count ?? 0
                unit.files[file]? += line()
            case 3: stored[file] = stored[file]?.dropLast(30)
            default: break
            }
            // A unit that was set back has a shorter file: it begins at its end, as its state is checked at its start.
            if let name = unit.name, unit.progress > unit.files[name]?.count ?? 0 {
                (unit.name, unit.progress) = (nil, 0)
            }
            var pushes = 0
            while let (name, offset, body) = unit.next() {
                pushes += 1
                guard pushes < 1000 else {
                    Issue.record("seed \(seed): the unit goes round in circles")
                    return
                }
                let isLost = Int.random(in: 0..<20, using: &random) == 0
                let answer = Self.serve(name, offset, body, &stored)
                if isLost { continue }
                guard unit.hear(name, answer.bytes, sent: answer.sent) else {
                    Issue.record("seed \(seed): acknowledged more than the unit has")
                    return
                }
            }
        }
        // Everything once more, as a unit that lost its state does.
        (unit.name, unit.progress) = (nil, 0)
        while let (name, offset, body) = unit.next() {
            let answer = Self.serve(name, offset, body, &stored)
            _ = unit.hear(name, answer.bytes, sent: answer.sent)
        }
        for (name, file) in unit.files {
            #expect(stored[name]?.prefix(file.count).elementsEqual(file) == true, "seed \(seed): \(name)")
        }
    }

    /// The server's part, in memory.
    private static func serve(
        _ name: String, _ offset: Int, _ body: [UInt8], _ stored: inout [String: [UInt8]]
    ) -> (bytes: Int64, sent: Int) {
        let before = stored[name] ?? []
        let overlap = offset < before.count ? Array(before[offset...].prefix(body.count)) : []
        let verdict = body.withUnsafeBytes { body in
            overlap.withUnsafeBytes {
                PushVerdict(offset: Int64(offset), body: body, storedBytes: Int64(before.count), overlap: $0)
            }
        }
        switch verdict {
        case .gap(let bytes): return (bytes, 0)
        case .follows(let skip, let acknowledged):
            stored[name] = before + body[skip...]
            return (acknowledged, body.count)
        case .replaces(let keep, let acknowledged):
            stored[name] = before[..<Int(keep)] + body
            return (acknowledged, body.count)
        }
    }
}
