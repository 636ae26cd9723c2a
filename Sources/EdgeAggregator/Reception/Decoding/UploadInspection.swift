import AudioDSP

/// Decodes one uploaded file to its end, a slice at a time: only a file that is whole is acknowledged.
///
/// Unchecked, since the reader is no value: the queue of ``DecodingService`` hands the inspection from one thread to the next under
/// its lock, so one thread at a time has it. `HostileUploadTests` covers it in `make test-sanitized`.
final class UploadInspection: @unchecked Sendable {
    struct Limits: Sendable, Equatable {
        /// A file with more sound is rejected. A file of silence can be a thousand times smaller than its sound.
        var maximumAudioHours = 48.0
        /// A file that takes more processor time is rejected.
        var maximumProcessorSeconds = 600.0
    }

    private let path: String
    private let expected: RecordingContainer
    private let limits: Limits
    private let limit: DecodingLimit
    private var reader: SoundFileReader?

    /// - Parameters:
    ///   - expected: what the file's name says; the content must agree.
    ///   - isCancelled: asked for each block; true ends the work.
    init(path: String, expected: RecordingContainer, limits: Limits, isCancelled: @escaping @Sendable () -> Bool) {
        self.path = path
        self.expected = expected
        self.limits = limits
        limit = DecodingLimit(
            maximumProcessorSeconds: limits.maximumProcessorSeconds, isCancelled: isCancelled)
    }

    /// Decodes on, on the calling thread.
    ///
    /// - Parameter isPaused: asked after each block; true to go on later.
    /// - Returns: what the file is; nil while it is not decoded to its end.
    /// - Throws: ``UploadRefusal`` for a file that is not taken, or `stopping`; another error when the system does not let it be
    ///   read now, which says nothing about the file.
    func goOn(isPaused: () -> Bool) throws -> AudioFacts? {
        limit.resume()
        let frames: Int64?
        let reader: SoundFileReader
        do throws(SoundFileError) {
            if let begun = self.reader {
                reader = begun
            } else {
                reader = try SoundFileReader(path: path, limit: limit)
                self.reader = reader
            }
            frames = try reader.decodeOn(maximumFrames: maximumFrames(reader), isPaused: isPaused)
        } catch {
            throw refusal(error)
        }
        return try frames.map { try AudioFacts(reader, expected, frames: $0) }
    }

    private func maximumFrames(_ reader: SoundFileReader) -> Int64 {
        Int64(limits.maximumAudioHours * 3600 * Double(reader.sampleRate))
    }

    private func refusal(_ error: SoundFileError) -> any Error {
        switch error.code {
        case .cancelled: return UploadRefusal.stopping
        case .tooCostly: return UploadRefusal.tooCostly(maximumSeconds: limits.maximumProcessorSeconds)
        case .tooLong:
            let declared = reader.map { Double($0.frames) / Double($0.sampleRate) / 3600 } ?? 0
            return UploadRefusal.tooLong(
                hours: declared > limits.maximumAudioHours ? declared : nil, maximumHours: limits.maximumAudioHours)
        case .open, .tooManyChannels, .sampleRate, .read, .write: return AudioFacts.refusal(error)
        }
    }
}
