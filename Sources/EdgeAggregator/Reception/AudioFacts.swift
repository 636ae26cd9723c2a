import AudioDSP

extension AudioFacts {
    /// A day, which recorder cards have; a longer file is rejected. A file of silence can be a thousand times smaller than its sound.
    static let maximumSeconds: Int64 = 86_400

    /// Decodes a file through to its end, in little memory.
    ///
    /// - Parameters:
    ///   - expected: what the file's name says; the content must agree.
    ///   - maximumSeconds: a longer file is rejected.
    /// - Throws: ``UploadRefusal/unreadable(reason:)`` when any part of it cannot be decoded; another error when the system does
    ///   not let it be read now, which says nothing about the file.
    init(path: String, expected: RecordingContainer, maximumSeconds: Int64) throws {
        let reader = try Self.reader(path)
        do throws(SoundFileError) {
            frames = try reader.decodeThrough(mostFrames: maximumSeconds * Int64(reader.sampleRate))
        } catch {
            throw Self.refusal(error)
        }
        try Self.check(reader, expected, frames: frames)
        channels = reader.channels
        sampleRate = reader.sampleRate
        encoding = reader.encoding
    }

    /// Decodes a file to its end, or to the first place that cannot be decoded: recordings that were cut off end in the middle of a
    /// block.
    init(beginningOf path: String, expected: RecordingContainer) throws {
        let reader = try Self.reader(path)
        var frames: Int64 = 0
        do throws(SoundFileError) {
            while true {
                let count = try reader.readMono(channel: .index(0), maxFrames: 16_384) { _ in }
                if count == 0 { break }
                frames += Int64(count)
            }
        } catch {
            guard error.errnoValue == 0 else { throw error }
        }
        try Self.check(reader, expected, frames: frames)
        self.frames = frames
        channels = reader.channels
        sampleRate = reader.sampleRate
        encoding = reader.encoding
    }

    private static func reader(_ path: String) throws -> SoundFileReader {
        do throws(SoundFileError) { return try SoundFileReader(path: path) } catch { throw refusal(error) }
    }

    private static func refusal(_ error: SoundFileError) -> any Error {
        error.errnoValue == 0 ? UploadRefusal.unreadable(reason: "\(error)") : error
    }

    private static func check(_ reader: SoundFileReader, _ expected: RecordingContainer, frames: Int64) throws {
        guard reader.container == expected.rawValue else {
            throw UploadRefusal.unreadable(reason: "it is \(reader.container), its name says \(expected.rawValue)")
        }
        guard frames > 0 else { throw UploadRefusal.unreadable(reason: "it holds no sound") }
    }
}
