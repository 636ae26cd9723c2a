import AudioDSP
import Foundation
import Logging
import Sensors
import ServiceLifecycle
import Store
import Synchronization

/// Listens through a sound card: its sound takes the way of a network listener's, from the frames on.
///
/// A thread of its own reads it, since ALSA waits. A card that is pulled out ends its session; it is looked for again.
final class SoundCardService: Service {
    struct Status: Sendable {
        let listener: String
        let device: String
        var isOpen = false
        var reason: String?
        var overruns: Int64 = 0
        var clippedSamples: Int64 = 0
        /// Of the last second.
        var rmsDBFS: Double?
        var peakDBFS: Double?
    }

    private static let retrySeconds = 2.0
    /// A card that is open and gives nothing for so long has failed.
    private static let longestSilenceMilliseconds = 5000
    private static let waitMilliseconds: Int32 = 250

    private struct State {
        var isStopping = false
        var isOver = false
        var whenOver: CheckedContinuation<Void, Never>?
        var status: Status
    }

    private let settings: SoundCardSettings
    private let house: ReceptionHouse
    private let state: Mutex<State>

    init(_ settings: SoundCardSettings, house: ReceptionHouse) {
        self.settings = settings
        self.house = house
        state = Mutex(State(status: Status(listener: settings.listener.text, device: settings.device)))
    }

    var status: Status { state.withLock { $0.status } }

    func run() async throws {
        let thread = Thread { [self] in work() }
        thread.name = "card-\(settings.listener.text)"
        thread.stackSize = 512 << 10
        thread.start()
        try? await gracefulShutdown()
        state.withLock { $0.isStopping = true }
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if !state.isOver { state.whenOver = continuation }
                return state.isOver
            }
            if isOver { continuation.resume() }
        }
    }

    // MARK: - On the thread

    private func work() {
        var lastReason: String?
        while !isStopping {
            let reason = listen()
            if let reason, reason != lastReason {
                house.logger.warning(
                    "A sound card does not listen; it is tried again",
                    metadata: ["listener": "\(settings.listener)", "reason": "\(reason)"])
            }
            lastReason = reason
            state.withLock { state in
                state.status.isOpen = false
                state.status.reason = reason
                state.status.rmsDBFS = nil
                state.status.peakDBFS = nil
            }
            for _ in 0..<Int(Self.retrySeconds / 0.1) where !isStopping { usleep(100_000) }
        }
        let waiter = state.withLock { state in
            state.isOver = true
            return state.whenOver
        }
        waiter?.resume()
    }

    private var isStopping: Bool { state.withLock { $0.isStopping } }

    /// Opens the card and listens until it fails or the daemon ends. Why it failed.
    private func listen() -> String? {
        let card: SoundCard
        do throws(SoundCardError) {
            card = try SoundCard(
                device: settings.device, channels: settings.channels, sampleRate: settings.sampleRate)
        } catch {
            return error.description
        }
        let now = house.time.now()
        let stream: AdmittedStream
        let closing = CloseFlag()
        let connection = ListenerConnection(
            listener: settings.listener, remoteAddress: settings.device, address: ClientAddress(settings.device),
            isNamed: true, now: now, close: { closing.set() })
        do throws(ListenerRegistry.Refusal) {
            let counter = try house.registry.admit(connection)
            stream = AdmittedStream(
                identity: SessionIdentity(
                    listener: settings.listener, bootID: now.bootID, counter: counter, source: "card"),
                connection: connection)
        } catch {
            return error.rawValue
        }
        house.enter(stream)
        let session = StreamSession(identity: stream.identity, house: house, status: connection)
        state.withLock { state in
            state.status.isOpen = true
            state.status.reason = nil
        }
        let failure = record(card, session, closing)
        let reason = connection.endedFor ?? (failure == nil ? "shutdown" : "card failed")
        let done = DispatchSemaphore(value: 0)
        session.end(reason: reason) { [house] result in
            switch result {
            case .success: house.leave(stream, reason: reason)
            case .failure(let error): house.leave(stream, failure: error)
            }
            done.signal()
        }
        done.wait()
        return failure
    }

    private func record(_ card: SoundCard, _ session: StreamSession, _ closing: CloseFlag) -> String? {
        var frames = CaptureFrames(format: card.format, periodFrames: card.periodFrames)
        var meter = LevelMeter()
        var metered = 0
        var silentMilliseconds = 0
        let bytesPerFrame = card.format.bytesPerFrame
        var sound = [UInt8](repeating: 0, count: card.periodFrames * bytesPerFrame)
        while !isStopping, !closing.isSet {
            do throws(SoundCardError) {
                switch try card.read(into: &sound, timeoutMilliseconds: Self.waitMilliseconds) {
                case .nothing:
                    silentMilliseconds += Int(Self.waitMilliseconds)
                    if silentMilliseconds >= Self.longestSilenceMilliseconds {
                        return "\(settings.device) gives nothing"
                    }
                case .overrun(let lost):
                    frames.skip(lostNanoseconds: lost)
                    state.withLock { $0.status.overruns += 1 }
                case .frames(let count):
                    silentMilliseconds = 0
                    let heard = sound.span.extracting(first: count * bytesPerFrame)
                    let head = frames.head(soundBytes: heard.count)
                    // A card cannot be read more slowly: what it hears would be lost.
                    _ = session.receive(head.span) { take in take(0..<head.count) }
                    _ = session.receive(heard) { take in take(heard.indices) }
                    meter.take(heard, encoding: card.format.encoding)
                    metered += count
                    if metered >= card.format.sampleRate {
                        metered = 0
                        note(&meter)
                    }
                }
            } catch {
                return error.description
            }
        }
        return nil
    }

    private func note(_ meter: inout LevelMeter) {
        guard let levels = meter.takeLevels() else { return }
        let clipped = meter.clipped
        state.withLock { state in
            state.status.rmsDBFS = levels.rmsDBFS
            state.status.peakDBFS = levels.peakDBFS
            state.status.clippedSamples = clipped
        }
    }

    /// Set from any thread when the connection is to end.
    private final class CloseFlag: Sendable {
        private let flag = Atomic(false)
        var isSet: Bool { flag.load(ordering: .relaxed) }
        func set() { flag.store(true, ordering: .relaxed) }
    }
}
