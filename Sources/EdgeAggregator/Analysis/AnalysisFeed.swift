import AudioDSP
import Sensors

/// Brings one run of a session to the analysis: bytes in, 48 kHz windows out.
///
/// Used on the ingest threads, right after the same bytes went to the file. It never waits: a window that finds no
/// room is left to the file.
final class AnalysisFeed {
    let run: Int
    private let service: AnalysisService
    private let format: PCMFormat
    private let converter: MonoConverter
    private let resampler: Resampler
    private var assembler: WindowAssembler
    /// Recordings in which a window may still start, oldest first. Two at most, but for very short ones.
    private var recordings: [(progress: RecordingProgress, endFrame48k: Int64?)] = []
    private var runFrames: Int64 = 0
    private var scratch: [Float]

    static let scratchFrames = 4096

    init(service: AnalysisService, run: Int, format: PCMFormat) throws(ResamplerError) {
        self.service = service
        self.run = run
        self.format = format
        converter = MonoConverter(format: format, channel: service.configuration.channel)
        resampler = try Resampler(from: format.sampleRate, quality: .high)
        assembler = WindowAssembler(overlapSeconds: service.configuration.overlapSeconds, pool: service.pool)
        scratch = [Float](repeating: 0, count: Self.scratchFrames)
    }

    static func frame48k(_ frame: Int64, sampleRate: Int) -> Int64 {
        let (seconds, rest) = frame.quotientAndRemainder(dividingBy: Int64(sampleRate))
        return seconds * 48_000 + rest * 48_000 / Int64(sampleRate)
    }

    func beginRecording(_ recording: AnalysedRecording, runOffsetFrames: Int64) {
        runFrames = runOffsetFrames
        let progress = RecordingProgress(
            recording: recording, startFrame48k: Self.frame48k(runOffsetFrames, sampleRate: format.sampleRate))
        recordings.append((progress, nil))
        service.track(progress)
    }

    /// Takes whole sample frames.
    func append(_ bytes: Span<UInt8>) {
        let blockBytes = Self.scratchFrames * format.bytesPerFrame
        // Taken out while it is worked on, so that it is not copied.
        var scratch: [Float] = []
        swap(&scratch, &self.scratch)
        var offset = 0
        while offset < bytes.count {
            let block = bytes.extracting(offset..<min(offset + blockBytes, bytes.count))
            var mono = scratch.mutableSpan
            let frames = converter.convert(block, into: &mono)
            push(scratch.span.extracting(first: frames))
            offset += block.count
        }
        swap(&scratch, &self.scratch)
        runFrames += Int64(bytes.count / format.bytesPerFrame)
    }

    func appendSilence(bytes: Int) {
        var rest = bytes / format.bytesPerFrame
        runFrames += Int64(rest)
        let silence = [Float](repeating: 0, count: min(rest, Self.scratchFrames))
        while rest > 0 {
            let count = min(rest, silence.count)
            push(silence.span.extracting(first: count))
            rest -= count
        }
    }

    func endRecording(isKept: Bool) {
        guard let last = recordings.indices.last else { return }
        recordings[last].endFrame48k = Self.frame48k(runFrames, sampleRate: format.sampleRate)
        if !isKept { recordings[last].progress.drop() }
        completeEnded()
    }

    /// Ends the run: the last window is padded, or dropped if it is too short.
    func endRun() {
        do {
            try resampler.flush { samples in feedAssembler(samples) }
        } catch {
            service.note(error)
        }
        assembler.finish(
            minimumSeconds: BirdNET.shortestTailSeconds, emit: { emit($0) }, skipped: { skip($0) })
        for (progress, _) in recordings { service.completed(progress) }
        recordings = []
    }

    private func push(_ mono: Span<Float>) {
        do {
            try resampler.process(mono) { samples in feedAssembler(samples) }
        } catch {
            service.note(error)
        }
    }

    private func feedAssembler(_ samples: Span<Float>) {
        assembler.append(samples, emit: { emit($0) }, skipped: { skip($0) })
        if recordings.count > 1 { completeEnded() }
    }

    private func completeEnded() {
        while let first = recordings.first, let end = first.endFrame48k, assembler.nextWindowFrame48k >= end {
            recordings.removeFirst()
            service.completed(first.progress)
        }
    }

    private func emit(_ window: AnalysisWindow) {
        guard let progress = progress(at: window.startFrame48k) else {
            service.pool.give(window.buffer)
            return
        }
        service.offer(window, progress)
    }

    private func skip(_ startFrame48k: Int64) {
        progress(at: startFrame48k).map { service.spill(startFrame48k, $0) }
    }

    /// The recording in which a window starts.
    private func progress(at frame48k: Int64) -> RecordingProgress? {
        recordings.last { $0.progress.startFrame48k <= frame48k }?.progress
    }
}
