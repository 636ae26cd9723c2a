import CSoundFile

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Reads WAV, FLAC and MP3 files (libsndfile). Used on one thread at a time.
///
/// Memory: `file` is opened in `init` and closed in `deinit`; it does not leave the class. libsndfile reads from `source`, which
/// lives until after that. libsndfile's error texts are its own; they are copied at once, while the file is open.
@safe public final class SoundFileReader {
    public let path: String
    /// Hertz.
    public let sampleRate: Int
    public let channels: Int
    /// Sample frames, -1 if the file does not tell.
    public let frames: Int64
    /// `wav`, `flac`, `mp3`, or libsndfile's number for another container.
    public let container: String
    /// Like ``PCMFormat/Encoding``'s names, or `compressed`.
    public let encoding: String

    private let file: OpaquePointer
    private let source: SoundFileSource
    private let limit: DecodingLimit
    private var block: [Float] = []
    private var position: Int64 = 0
    /// Of a read that gave sound all the same. The next one fails with it, since libsndfile forgets it.
    private var failure: SoundFileError?

    /// - Parameter limit: of the work, that of opening the file included.
    public init(path: String, limit: DecodingLimit = DecodingLimit()) throws(SoundFileError) {
        var info = SF_INFO()
        let source = try SoundFileSource(path: path, limit: limit)
        guard let file = unsafe source.open(&info) else {
            try limit.check(path)
            throw unsafe Self.failure(.open, path, reason: String(cString: sf_strerror(nil)))
        }
        guard PCMFormat.channelRange.contains(Int(info.channels)) else {
            unsafe sf_close(file)
            throw SoundFileError(code: .tooManyChannels, path: path, reason: "\(info.channels) channels; 1 to 8 are")
        }
        guard PCMFormat.sampleRateRange.contains(Int(info.samplerate)) else {
            unsafe sf_close(file)
            throw SoundFileError(code: .sampleRate, path: path, reason: "\(info.samplerate) Hz; 8000 to 384000 are")
        }
        unsafe self.file = file
        self.source = source
        self.limit = limit
        self.path = path
        sampleRate = Int(info.samplerate)
        channels = Int(info.channels)
        frames = info.frames > 0 && info.frames < Int64.max / 2 ? Int64(info.frames) : -1
        container = Self.container(Int(info.format) & Int(SF_FORMAT_TYPEMASK))
        encoding = Self.encoding(Int(info.format) & Int(SF_FORMAT_SUBMASK))
    }

    deinit {
        unsafe sf_close(file)
    }

    private static func container(_ type: Int) -> String {
        switch type {
        case Int(SF_FORMAT_WAV), Int(SF_FORMAT_WAVEX), Int(SF_FORMAT_RF64): "wav"
        case Int(SF_FORMAT_FLAC): "flac"
        // SF_FORMAT_MPEG, since libsndfile 1.1.
        case 0x230000: "mp3"
        default: "format \(type >> 16)"
        }
    }

    private static func encoding(_ subtype: Int) -> String {
        switch subtype {
        case Int(SF_FORMAT_PCM_U8), Int(SF_FORMAT_PCM_S8): "unsigned8"
        case Int(SF_FORMAT_PCM_16): "signed16"
        case Int(SF_FORMAT_PCM_24): "signed24"
        case Int(SF_FORMAT_PCM_32): "signed32"
        case Int(SF_FORMAT_FLOAT), Int(SF_FORMAT_DOUBLE): "float32"
        default: "compressed"
        }
    }

    /// libsndfile does not tell a file that is damaged from one that the system does not let it read: the file is read through.
    static func failure(_ code: SoundFileError.Code, _ path: String, reason: String) -> SoundFileError {
        let refusal = SoundFileBytes.refusal(path: path)
        return refusal == 0
            ? SoundFileError(code: code, path: path, reason: reason)
            : SoundFileError(code: code, path: path, errnoValue: refusal)
    }

    /// Reads on, as one channel with full scale ±1.
    ///
    /// - Returns: how many sample frames were handed to `body`; 0 at the end.
    /// - Throws: at the first place that cannot be decoded, after all sound before it was handed over; where the limit ends the
    ///   work.
    public func readMono(
        channel: MonoConverter.Channel, maxFrames: Int, _ body: (Span<Float>) -> Void
    ) throws(SoundFileError) -> Int {
        let count = try readBlock(maxFrames: maxFrames)
        if count > 0 {
            mix(frames: count, channel)
            let block = block
            body(block.span.extracting(first: count))
        }
        return count
    }

    /// Reads on into `block`, all channels.
    private func readBlock(maxFrames: Int) throws(SoundFileError) -> Int {
        if let failure { throw failure }
        try limit.check(path)
        if block.count < maxFrames * channels { block = [Float](repeating: 0, count: maxFrames * channels) }
        // Memory: libsndfile writes into `block` during the call only.
        let count = unsafe block.withUnsafeMutableBufferPointer { block in
            unsafe Int(sf_readf_float(file, block.baseAddress, sf_count_t(maxFrames)))
        }
        position += Int64(max(count, 0))
        // The source ends where the limit does: the sound may be short, or broken, for that.
        try limit.check(path)
        // What follows the last sample, such as a tag, is none of ours.
        let hasFailed = unsafe sf_error(file) != 0
        if count < 0 || hasFailed && position != frames {
            let failure = unsafe Self.failure(.read, path, reason: String(cString: sf_strerror(file)))
            guard count > 0 else { throw failure }
            self.failure = failure
        }
        return count
    }

    /// Decodes all that is left, and keeps nothing of it: ``decodeOn(maximumFrames:isPaused:)`` without pauses.
    public func decodeThrough(maximumFrames: Int64) throws(SoundFileError) -> Int64 {
        while true {
            if let frames = try decodeOn(maximumFrames: maximumFrames, isPaused: { false }) { return frames }
        }
    }

    /// Decodes on from where it was left, and keeps nothing of it.
    ///
    /// - Parameters:
    ///   - maximumFrames: sample frames that the whole file may have. What is decoded counts, and what a file declares where
    ///     that is more.
    ///   - isPaused: asked after each block; true to go on later.
    /// - Returns: how many sample frames the whole file has; nil while it is not decoded to its end.
    /// - Throws: when any of it cannot be decoded, when a FLAC file has fewer samples than it declares, when there are more than
    ///   `maximumFrames` (`tooLong`), and where the limit ends the work.
    public func decodeOn(maximumFrames: Int64, isPaused: () -> Bool) throws(SoundFileError) -> Int64? {
        guard frames <= maximumFrames else {
            throw SoundFileError(code: .tooLong, path: path, reason: "it declares \(frames) sample frames")
        }
        while true {
            let count = try readBlock(maxFrames: Self.framesPerBlock)
            guard position <= maximumFrames else {
                throw SoundFileError(code: .tooLong, path: path, reason: "more than \(maximumFrames) sample frames")
            }
            if count == 0 { break }
            if isPaused() { return nil }
        }
        // Other containers only estimate how long they are, or are read to the end of the file.
        guard container != "flac" || frames < 0 || position >= frames else {
            throw SoundFileError(
                code: .read, path: path, reason: "it ends after \(position) of \(frames) sample frames")
        }
        return position
    }

    /// Goes on at a sample frame. Where the file cannot be searched, such as a damaged one, all before it is decoded.
    ///
    /// - Throws: as ``readMono(channel:maxFrames:_:)``.
    public func goForward(to frame: Int64) throws(SoundFileError) {
        guard frame > position else { return }
        if unsafe sf_seek(file, sf_count_t(frame), Int32(SEEK_SET)) == sf_count_t(frame) {
            position = frame
            return
        }
        // libsndfile leaves the place open.
        guard unsafe sf_seek(file, sf_count_t(position), Int32(SEEK_SET)) == sf_count_t(position) else {
            throw Self.failure(.read, path, reason: "it cannot be searched")
        }
        while position < frame {
            let count = try readBlock(maxFrames: Int(min(Int64(Self.framesPerBlock), frame - position)))
            if count == 0 { return }
        }
    }

    private static let framesPerBlock = 16_384

    /// Sample frames that were decoded so far.
    public var decodedFrames: Int64 { position }

    /// Puts one channel of the first frames of `block` at its beginning.
    private func mix(frames: Int, _ channel: MonoConverter.Channel) {
        if channels == 1 {
            for frame in 0..<frames { block[frame] = MonoConverter.bounded(block[frame]) }
            return
        }
        for frame in 0..<frames {
            var sample: Float = 0
            switch channel {
            case .mix:
                for index in 0..<channels { sample += MonoConverter.bounded(block[frame * channels + index]) }
                sample /= Float(channels)
            case .index(let index):
                sample = MonoConverter.bounded(block[frame * channels + min(max(index, 0), channels - 1)])
            }
            block[frame] = sample
        }
    }
}
