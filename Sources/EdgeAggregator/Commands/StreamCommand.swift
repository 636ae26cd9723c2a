import ArgumentParser
import AudioDSP
import Foundation
import Synchronization
import TextParts

/// `edge-aggregator stream`: plays the stock listeners' part.
struct StreamCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream", abstract: "Stream a WAV file at a daemon, as the stock listeners do.",
        discussion: """
            Each listener sends the file over and over in one request that never ends: its header as frame 0, then \
            pages of 32 KiB at the pace of the sound. Ids are listener01, listener02, …
            \(ExitCodes.help)
            """)

    @OptionGroup var options: SettingsOptions

    @Argument(help: "A WAV file.")
    var file: String

    @Option(name: [.long, .customShort("n")], help: "How many listeners.")
    var listeners = 1

    @Option(name: [.long, .customShort("i")], help: "Seconds to wait after each file.")
    var interval = 20.0

    @Option(name: [.long, .customShort("s")], help: "Each listener starts at a random moment within so many seconds.")
    var stagger = 5.0

    @Option(
        name: [.long, .customShort("u")],
        help:
            "Where to, with the path (http://host:8000/recordings_stream), else the daemon of the settings. A query, a user:password@ or a /t/TOKEN in it is kept."
    )
    var url: String?

    @Option(help: "How many times as fast as the sound, or max.")
    var speed = "1"

    @Option(help: "How many files each listener sends; 0 for no end.")
    var files = 0

    @Option(help: "What the ids begin with.")
    var prefix = "listener"

    @Flag(help: "Send no WAV header, as the firmware does (48 kHz, 16 bit, mono is understood).")
    var headerless = false

    func validate() throws {
        guard (1...10_000).contains(listeners) else { throw ValidationError("--listeners: 1 to 10000") }
        guard interval >= 0, stagger >= 0, files >= 0 else {
            throw ValidationError("--interval, --stagger and --files are not negative")
        }
        guard speed == "max" || (Double(speed).map { $0 > 0 && $0 <= 1_000_000 } ?? false) else {
            throw ValidationError("--speed: a number above 0, or max")
        }
        if let url {
            guard let target = StockClient.Target(url: url, listener: "x") else {
                throw ValidationError("--url: http://host:port/path")
            }
            guard target.hasPath else {
                throw ValidationError(
                    "--url \(url.hidingPasswords) has no path. Listeners stream to recordings_stream_endpoint, by default /recordings_stream: http://host:port/recordings_stream"
                )
            }
        }
    }

    func run() async throws {
        signal(SIGPIPE, SIG_IGN)
        let address = try url ?? Self.ownAddress(try options.load())
        let bytes: [UInt8]
        let layout: WAVFile.Layout
        do {
            bytes = Array(try Data(contentsOf: URL(fileURLWithPath: file)))
            layout = try WAVFile.layout(path: file)
        } catch {
            printError("\(file) is no WAV file that can be sent: \(error)")
            throw ExitCodes.inputOutput
        }
        let offset = Int(layout.dataOffset)
        guard bytes.count > offset else {
            printError("\(file) holds no sound")
            throw ExitCodes.inputOutput
        }
        guard headerless || offset <= StockFrames.maximumFrameBytes else {
            printError(
                "\(file) has \(offset) bytes before its sound, and one frame has \(StockFrames.maximumFrameBytes) at most; send it with --headerless or without its metadata"
            )
            throw ExitCodes.inputOutput
        }
        let frames = StockFrames(
            header: headerless ? nil : Array(bytes[..<offset]), sound: Array(bytes[offset...]),
            bytesPerSecond: layout.format.bytesPerSecond)
        let tally = StreamTally(listeners: listeners)
        await withTaskGroup(of: Void.self) { group in
            for number in 1...listeners {
                let name = prefix + (number < 10 ? "0\(number)" : "\(number)")
                group.addTask { await self.play(name, address, frames, tally) }
            }
            group.addTask {
                while !Task.isCancelled, !tally.isOver {
                    try? await Task.sleep(for: .milliseconds(500))
                    tally.show()
                }
            }
        }
        tally.finish()
        if tally.gaveUp > 0 { throw ExitCodes.unavailable }
    }

    /// Where the daemon with these settings receives streams.
    static func ownAddress(_ settings: Settings) -> String {
        let box = settings.box.addresses.first?.localURL() ?? "http://127.0.0.1:8000"
        return box + settings.reception.streamPath
    }

    private func play(_ name: String, _ address: String, _ frames: StockFrames, _ tally: StreamTally) async {
        let pace = speed == "max" ? StockClient.Speed.unlimited : .times(Double(speed) ?? 1)
        if stagger > 0 { try? await Task.sleep(for: .seconds(Double.random(in: 0...stagger))) }
        guard let target = StockClient.Target(url: address, listener: name) else { return }
        let client = StockClient(
            target: target, frames: frames, interval: .seconds(interval), speed: pace, files: files == 0 ? nil : files
        ) { event in tally.note(event, listener: name) }
        await client.run()
        tally.end()
    }
}

/// What all listeners together have done; a line on a terminal.
final class StreamTally: Sendable {
    private struct State {
        var connected = 0
        var ended = 0
        var gaveUp = 0
        var files = 0
        var bytes = 0
    }

    private let listeners: Int
    private let state = Mutex(State())
    private let isTerminal = isatty(2) == 1

    init(listeners: Int) {
        self.listeners = listeners
    }

    var isOver: Bool { state.withLock { $0.ended == listeners } }
    var gaveUp: Int { state.withLock { $0.gaveUp } }

    func note(_ event: StockClient.Event, listener: String) {
        switch event {
        case .connected: state.withLock { $0.connected += 1 }
        case .sent(let bytes, let endsFile):
            state.withLock { state in
                state.bytes += bytes
                if endsFile { state.files += 1 }
            }
        case .answered(let line): say("\(listener): \(line)")
        case .disconnected(let reason): say("\(listener): \(reason)")
        case .gaveUp:
            state.withLock { $0.gaveUp += 1 }
            say(
                "\(listener): gave up after \(StockClient.reconnects) reconnects; the firmware would buffer to its card now"
            )
        }
    }

    func end() {
        state.withLock { $0.ended += 1 }
    }

    func show() {
        guard isTerminal else { return }
        FileHandle.standardError.write(Data("\r\u{1B}[K\(line)".utf8))
    }

    func finish() {
        printError((isTerminal ? "\r\u{1B}[K" : "") + line)
    }

    private var line: String {
        let state = state.withLock { $0 }
        let megabytes = String(format: "%.1f", Double(state.bytes) / 1e6)
        return "\(state.connected) connections, \(state.files) files, \(megabytes) MB of sound sent"
    }

    private func say(_ text: String) {
        printError((isTerminal ? "\r\u{1B}[K" : "") + text)
    }
}
