import AudioDSP
import Foundation

/// How many bytes a second one thread takes apart and prepares, in memory: no network and no disk.
///
/// The frames are those of a listener, 16 bits and mono in pages of 32 KiB, that arrive in time.
struct ReceptionBenchmark: Sendable {
    struct Report: Encodable, Sendable {
        struct Entry: Encodable, Sendable {
            let sampleRate: Int
            /// Whether the sound also became windows for the analysis: converted, resampled to 48 kHz, assembled.
            let withWindows: Bool
            let bytes: Int64
            let megabytesPerSecond: Double
            /// Listeners of this rate whose sound one thread does that with.
            let listenersPerThread: Int
        }

        let frameBytes: Int
        let readBytes: Int
        let measurements: [Entry]
    }

    /// Sample rates, and whether windows are made.
    static let measurements = [(48_000, false), (48_000, true), (32_000, true)]

    let seconds: Double
    let overlapSeconds: Double
    let maximumRecordingSeconds: Int

    func measure(stop: BenchmarkStop) async throws -> Report {
        var entries: [Report.Entry] = []
        for (rate, withWindows) in Self.measurements {
            printError("Reception, \(rate) Hz\(withWindows ? ", with windows" : "")")
            entries.append(
                try await BenchmarkThread.run("reception") {
                    try measure(sampleRate: rate, withWindows: withWindows, stop: stop)
                })
        }
        return Report(
            frameBytes: StockFrames.pageBytes, readBytes: IngestThread.readBytes, measurements: entries)
    }

    private func measure(sampleRate: Int, withWindows: Bool, stop: BenchmarkStop) throws -> Report.Entry {
        let format = try PCMFormat(encoding: .signed16, channels: 1, sampleRate: sampleRate)
        var session = ListenerSession(
            configuration: ListenerSession.Configuration(
                defaultFormat: format, maximumRecordingNanoseconds: Int64(maximumRecordingSeconds) * 1_000_000_000))
        var decoder = FrameDecoder()
        var wire = RepeatedFrames(sound: MockGenerator.sound(seconds: 20, seed: 1))
        let pool = WindowBufferPool(limit: 4)
        let preparation =
            withWindows ? try WindowPreparation(format: format, overlapSeconds: overlapSeconds, pool: pool) : nil
        var failure: ResamplerError?
        var batch = SoundBatch()
        var soundBytes: Int64 = 0
        let began = ContinuousClock.now
        let end = began + .seconds(seconds)
        repeat {
            try stop.check()
            wire.renumber()
            var offset = 0
            while offset < wire.bytes.count {
                let block = wire.bytes.span.extracting(
                    offset..<min(offset + IngestThread.readBytes, wire.bytes.count))
                offset += block.count
                // As sound that is heard now arrives: what comes faster is taken for a file.
                let arrival = format.durationNanoseconds(frames: soundBytes / Int64(format.bytesPerFrame))
                decoder.decode(block, in: 0..<block.count) { event in
                    session.receive(event, of: block, arrivalNanoseconds: arrival) { action in
                        guard case .audio(let bytes) = action else { return }
                        batch.append(bytes)
                        soundBytes += Int64(bytes.count)
                    }
                }
                if let preparation {
                    batch.forEach(of: block) { bytes in
                        do throws(ResamplerError) {
                            try preparation.append(bytes) { pool.give($0.buffer) }
                        } catch {
                            failure = error
                        }
                    }
                }
                batch.removeAll()
            }
            if let failure { throw failure }
        } while .now < end
        let rate = Double(soundBytes) / began.secondsToNow
        return Report.Entry(
            sampleRate: sampleRate, withWindows: withWindows, bytes: soundBytes, megabytesPerSecond: rate / 1e6,
            listenersPerThread: Int(rate / Double(format.bytesPerSecond)))
    }
}

/// The same frames again and again, as their bytes on the wire, with numbers that go on.
struct RepeatedFrames {
    private static let frameBytes = FrameDecoder.headerBytes + StockFrames.pageBytes

    private(set) var bytes: [UInt8] = []
    private var sequence: UInt32 = 0

    /// - Parameter sound: at least a page; what is over whole pages is left out.
    init(sound: [UInt8]) {
        for page in 0..<(sound.count / StockFrames.pageBytes) {
            bytes += StockFrames.frame(0, sound[(page * StockFrames.pageBytes)...].prefix(StockFrames.pageBytes))
        }
    }

    mutating func renumber() {
        for start in stride(from: 0, to: bytes.count, by: Self.frameBytes) {
            for (place, shift) in [0, 8, 16].enumerated() {
                bytes[start + place] = UInt8(truncatingIfNeeded: sequence >> UInt32(shift))
            }
            // The last number of all is not one of sound, and 0 begins a recording.
            sequence = sequence >= 0xFF_FFFE ? 1 : sequence + 1
        }
    }
}

/// Makes windows of a stream's bytes, as ``AnalysisFeed`` does.
final class WindowPreparation {
    private let format: PCMFormat
    private let converter: MonoConverter
    private let resampler: Resampler
    private var assembler: WindowAssembler
    private var scratch = [Float](repeating: 0, count: AnalysisFeed.scratchFrames)

    init(format: PCMFormat, overlapSeconds: Double, pool: WindowBufferPool) throws(ResamplerError) {
        self.format = format
        converter = MonoConverter(format: format, channel: .mix)
        resampler = try Resampler(from: format.sampleRate)
        assembler = WindowAssembler(overlapSeconds: overlapSeconds, pool: pool)
    }

    /// Takes whole sample frames.
    func append(_ bytes: Span<UInt8>, emit: (AnalysisWindow) -> Void) throws(ResamplerError) {
        let blockBytes = AnalysisFeed.scratchFrames * format.bytesPerFrame
        // Taken out while it is worked on, so that it is not copied.
        var scratch: [Float] = []
        swap(&scratch, &self.scratch)
        defer { swap(&scratch, &self.scratch) }
        var offset = 0
        while offset < bytes.count {
            let block = bytes.extracting(offset..<min(offset + blockBytes, bytes.count))
            var mono = scratch.mutableSpan
            let frames = converter.convert(block, into: &mono)
            try resampler.process(scratch.span.extracting(first: frames)) { samples in
                assembler.append(samples, emit: emit, skipped: { _ in })
            }
            offset += block.count
        }
    }
}
