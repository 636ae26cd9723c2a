import AudioDSP

extension AudioFacts {
    /// Decodes a file to its end, or to the first place that cannot be decoded: recordings that were cut off end in the middle of a
    /// block.
    ///
    /// - Throws: ``UploadRefusal/unreadable(reason:)`` for a file without sound; ``SoundFileError`` when the system does not let it
    ///   be read now, and where the limit ends the work.
    init(beginningOf path: String, expected: RecordingContainer, limit: DecodingLimit) throws {
        let reader = try Self.reader(path, limit)
        do throws(SoundFileError) {
            _ = try reader.decodeThrough(maximumFrames: .max)
        } catch {
            guard error.errnoValue == 0, error.code != .tooCostly else { throw error }
        }
        try self.init(reader, expected, frames: reader.decodedFrames)
    }

    /// Whether any sound can be decoded from a file.
    ///
    /// - Throws: as ``init(beginningOf:expected:limit:)``, without sound too.
    static func requireSound(in path: String, expected: RecordingContainer, limit: DecodingLimit) throws {
        let reader = try Self.reader(path, limit)
        do throws(SoundFileError) {
            _ = try reader.decodeOn(maximumFrames: .max, isPaused: { true })
        } catch {
            guard error.errnoValue == 0, error.code != .tooCostly else { throw error }
        }
        _ = try Self(reader, expected, frames: reader.decodedFrames)
    }

    /// - Throws: ``UploadRefusal/unreadable(reason:)`` when the container is another than expected, or there is no sound.
    init(_ reader: SoundFileReader, _ expected: RecordingContainer, frames: Int64) throws(UploadRefusal) {
        guard reader.container == expected.rawValue else {
            throw .unreadable(reason: "it is \(reader.container), its name says \(expected.rawValue)")
        }
        guard frames > 0 else { throw .unreadable(reason: "it holds no sound") }
        self.init(
            encoding: reader.encoding, channels: reader.channels, sampleRate: reader.sampleRate, frames: frames)
    }

    private static func reader(_ path: String, _ limit: DecodingLimit) throws -> SoundFileReader {
        do throws(SoundFileError) { return try SoundFileReader(path: path, limit: limit) } catch {
            throw error.code == .tooCostly ? error : refusal(error)
        }
    }

    static func refusal(_ error: SoundFileError) -> any Error {
        error.errnoValue == 0 ? UploadRefusal.unreadable(reason: "\(error)") : error
    }
}
