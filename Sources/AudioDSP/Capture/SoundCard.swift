import CAlsa

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A capture device of ALSA, read in periods. Used from one thread.
///
/// Memory: `pcm` is opened in `init` and closed in `deinit`; it does not leave the class. ALSA borrows names and buffers for the
/// call.
@safe public final class SoundCard {
    public enum Reading: Sendable, Hashable {
        /// So many sample frames were read.
        case frames(Int)
        /// Nothing came within the time.
        case nothing
        /// Nobody read in time: so much sound was lost, and it goes on from here.
        case overrun(lostNanoseconds: Int64)
    }

    public let format: PCMFormat
    /// Sample frames that are read at once: a twentieth of a second.
    public let periodFrames: Int
    private let device: String
    private let pcm: OpaquePointer
    /// When the last sample frame that was read was heard, by CLOCK_MONOTONIC; nil before the first.
    private var lastNanoseconds: Int64?

    /// Half a second may pass without a reader.
    private static let bufferMicroseconds: UInt32 = 500_000
    private static let encodings: [(PCMFormat.Encoding, snd_pcm_format_t)] = [
        (.signed16, SND_PCM_FORMAT_S16_LE), (.signed24, SND_PCM_FORMAT_S24_3LE), (.signed32, SND_PCM_FORMAT_S32_LE),
    ]

    /// Opens a device by its name, such as `hw:CARD=Device`, in the first of 16, 24 and 32 bits that it has.
    public init(device: String, channels: Int, sampleRate: Int) throws(SoundCardError) {
        var opened: OpaquePointer?
        let result = unsafe snd_pcm_open(&opened, device, SND_PCM_STREAM_CAPTURE, 0)
        guard result == 0, let pcm = unsafe opened else { throw SoundCardError(device: device, code: result) }
        var code: Int32 = -EINVAL
        var found: PCMFormat.Encoding?
        for (encoding, format) in Self.encodings {
            // No resampling: what is kept is what the device heard.
            code = unsafe snd_pcm_set_params(
                pcm, format, SND_PCM_ACCESS_RW_INTERLEAVED, UInt32(channels), UInt32(sampleRate), 0,
                Self.bufferMicroseconds)
            if code == 0 {
                found = encoding
                break
            }
        }
        guard let encoding = found,
            let format = try? PCMFormat(encoding: encoding, channels: channels, sampleRate: sampleRate)
        else {
            unsafe snd_pcm_close(pcm)
            throw SoundCardError(device: device, code: code, wanted: "\(sampleRate) Hz, \(channels) channels")
        }
        unsafe self.pcm = pcm
        self.device = device
        self.format = format
        periodFrames = sampleRate / 20
    }

    deinit { unsafe snd_pcm_close(pcm) }

    /// Reads a period to the beginning of `buffer`, which must have room for it.
    ///
    /// - Throws: when the device is gone, or fails in another way than by an overrun.
    public func read(
        into buffer: inout [UInt8], timeoutMilliseconds: Int32
    ) throws(SoundCardError) -> Reading {
        if unsafe snd_pcm_state(pcm) == SND_PCM_STATE_PREPARED {
            let code = unsafe snd_pcm_start(pcm)
            guard code == 0 else { throw SoundCardError(device: device, code: code) }
        }
        let ready = unsafe snd_pcm_wait(pcm, timeoutMilliseconds)
        if ready == 0 { return .nothing }
        if ready < 0 { return try recover(ready) }
        let wanted = min(periodFrames, buffer.count / format.bytesPerFrame)
        let count = unsafe snd_pcm_readi(pcm, &buffer, snd_pcm_uframes_t(wanted))
        if count < 0 { return try recover(Int32(count)) }
        // What still waits in the device's buffer was heard after what was read.
        let waiting = unsafe max(0, Int64(snd_pcm_avail(pcm)))
        lastNanoseconds = Self.now() - format.durationNanoseconds(frames: waiting)
        return count == 0 ? .nothing : .frames(count)
    }

    /// After an overrun the device begins anew; after anything else it is given up.
    private func recover(_ code: Int32) throws(SoundCardError) -> Reading {
        guard code == -EPIPE else { throw SoundCardError(device: device, code: code) }
        var result = unsafe snd_pcm_prepare(pcm)
        if result == 0 { result = unsafe snd_pcm_start(pcm) }
        guard result == 0 else { throw SoundCardError(device: device, code: result) }
        let now = Self.now()
        defer { lastNanoseconds = now }
        return .overrun(lostNanoseconds: lastNanoseconds.map { max(0, now - $0) } ?? 0)
    }

    private static func now() -> Int64 {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
    }
}

/// A sound card could not be opened, or failed.
public struct SoundCardError: Error, Hashable, Sendable, CustomStringConvertible {
    let device: String
    /// Negative, as ALSA gives it.
    public let code: Int32
    var wanted: String?

    public var isAbsent: Bool { [-ENOENT, -ENODEV, -ENXIO].contains(code) }

    public var description: String {
        switch code {
        case -ENOENT, -ENODEV, -ENXIO: "\(device) is not there (arecord -L lists what is)"
        case -EBUSY: "\(device) is used by another program"
        case -EACCES, -EPERM: "\(device) may not be used: add this user to the group audio"
        case -EINVAL where wanted != nil: "\(device) does not have \(wanted ?? "")"
        // Memory: ALSA owns the text, a constant; one for an unknown number lasts until the thread's next `strerror`.
        default: "\(device): \(unsafe String(cString: snd_strerror(code)))"
        }
    }
}
