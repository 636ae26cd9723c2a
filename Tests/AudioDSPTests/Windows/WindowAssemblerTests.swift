import AudioDSP
import EdgeTesting
import Testing

@Suite struct WindowAssemblerTests {
    /// A sample that tells its own place (floats hold whole numbers up to 2^24).
    private func play(
        _ assembler: inout WindowAssembler, from: Int, count: Int, pieces: Int, pool: WindowBufferPool,
        keep: Bool = false, skipped: inout [Int64]
    ) -> [(Int64, Bool)] {
        var found: [(Int64, Bool)] = []
        var lost: [Int64] = []
        var position = from
        while position < from + count {
            let size = min(pieces, from + count - position)
            let samples = (position..<(position + size)).map { Float($0) }
            assembler.append(samples.span) { window in
                let isRight = window.withSamples { samples in
                    samples.indices.allSatisfy { samples[$0] == Float(Int(window.startFrame48k) + $0) }
                }
                found.append((window.startFrame48k, isRight))
                if !keep { pool.give(window.buffer) }
            } skipped: {
                lost.append($0)
            }
            position += size
        }
        skipped += lost
        return found
    }

    @Test(arguments: [0, 1.0, 1.5, 2.9]) func cutsOnTheGridWithEveryOverlap(overlap: Double) {
        let step = 144_000 - Int(overlap * 48_000)
        for pieces in [480, 16_384, 777_777] {
            let pool = WindowBufferPool(limit: 64)
            var skipped: [Int64] = []
            var assembler = WindowAssembler(overlapSeconds: overlap, pool: pool)
            let found = play(&assembler, from: 0, count: 1_000_000, pieces: pieces, pool: pool, skipped: &skipped)
            let wanted = stride(from: 0, through: 1_000_000 - 144_000, by: step).map { Int64($0) }
            #expect(found.map { $0.0 } == wanted)
            #expect(found.allSatisfy { $0.1 })
            #expect(skipped.isEmpty)
            assembler.release()
            #expect(pool.inUse == 0)
        }
    }

    @Test func findsTheSameWindowsWhenItStartsInTheMiddle() {
        let pool = WindowBufferPool(limit: 8)
        var skipped: [Int64] = []
        var assembler = WindowAssembler(
            overlapSeconds: 0, pool: pool, firstWindowFrame48k: 288_000, streamFrame48k: 200_000)
        let found = play(&assembler, from: 200_000, count: 400_000, pieces: 5000, pool: pool, skipped: &skipped)
        #expect(found.map { $0.0 } == [288_000, 432_000])
        #expect(found.allSatisfy { $0.1 })
    }

    @Test func tellsOfALastWindowThatFoundNoRoom() {
        let pool = WindowBufferPool(limit: 1)
        let held = pool.take()
        #expect(held != nil)
        var skipped: [Int64] = []
        var assembler = WindowAssembler(overlapSeconds: 0, pool: pool)
        let found = play(&assembler, from: 0, count: 144_000 + 100_000, pieces: 4096, pool: pool, skipped: &skipped)
        assembler.finish(minimumSeconds: 1.5, emit: { _ in }, skipped: { skipped.append($0) })
        #expect(found.isEmpty)
        #expect(skipped == [0, 144_000])
    }

    @Test func padsATailOfOneAndAHalfSecondsAndDropsAShorterOne() {
        for (tail, isKept) in [(72_000, true), (71_999, false)] {
            let pool = WindowBufferPool(limit: 4)
            var skipped: [Int64] = []
            var assembler = WindowAssembler(overlapSeconds: 0, pool: pool)
            _ = play(&assembler, from: 0, count: 144_000 + tail, pieces: 4096, pool: pool, skipped: &skipped)
            var tails: [(Int, Float, Float)] = []
            assembler.finish(
                minimumSeconds: 1.5,
                emit: { window in
                    let ends = window.withSamples { ($0[tail - 1], $0[tail]) }
                    tails.append((window.validSamples, ends.0, ends.1))
                    pool.give(window.buffer)
                }, skipped: { skipped.append($0) })
            #expect(tails.count == (isKept ? 1 : 0))
            if let only = tails.first {
                #expect(only == (72_000, Float(144_000 + tail - 1), 0))
            }
            #expect(pool.inUse == 0)
        }
    }

    @Test func saysWhichWindowsFoundNoRoom() {
        let pool = WindowBufferPool(limit: 2)
        var skipped: [Int64] = []
        var assembler = WindowAssembler(overlapSeconds: 0, pool: pool)
        let found = play(
            &assembler, from: 0, count: 6 * 144_000, pieces: 4096, pool: pool, keep: true, skipped: &skipped)
        #expect(found.map { $0.0 } == [0, 144_000])
        #expect(skipped == [288_000, 432_000, 576_000, 720_000])
    }
}
