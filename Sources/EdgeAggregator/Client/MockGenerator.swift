import AudioDSP
import Foundation
import HTTPTypes
import Logging
import ServiceLifecycle

/// Streams made-up sound to the daemon itself, over a real connection, as a stock listener does.
///
/// Rising chirps over pink-like noise: loud enough for every stage to have something to do.
struct MockGenerator: Service {
    let listeners: Int
    /// Of the daemon, once it listens.
    let port: @Sendable () -> Int?
    let path: String
    let token: [String: String]
    let logger: Logger

    func run() async throws {
        // Its end is a cancellation, and no error.
        try? await cancelWhenGracefulShutdown {
            while port() == nil { try await Task.sleep(for: .milliseconds(50)) }
            await withTaskGroup(of: Void.self) { group in
                for number in 1...max(1, listeners) {
                    group.addTask { await stream(number) }
                }
            }
            // The streams only end when the daemon does, or refuses them.
            try await gracefulShutdown()
        }
    }

    private func stream(_ number: Int) async {
        let name = listeners == 1 ? "mock" : "mock\(number)"
        let query = (token[name] ?? token["*"]).map { "&token=\($0)" } ?? ""
        guard let port = port() else { return }
        let target = StockClient.Target(
            host: "127.0.0.1", port: port, path: "\(path)?listener_id=\(name)\(query)", authorization: nil,
            headers: ["\(StreamRoute.mockHeader.canonicalName): 1"])
        let client = StockClient(
            target: target,
            frames: StockFrames(
                header: nil, sound: Self.sound(seconds: 20, seed: UInt64(number)), bytesPerSecond: 96_000),
            interval: .zero, speed: .times(1), files: nil
        ) { [logger] event in
            if case .gaveUp = event {
                logger.error("The mock generator cannot reach the daemon", metadata: ["listener": "\(name)"])
            }
        }
        await client.run()
    }

    /// 48 kHz, 16 bits, mono.
    static func sound(seconds: Int, seed: UInt64) -> [UInt8] {
        var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        var low = 0.0
        var phase = 0.0
        var bytes: [UInt8] = []
        bytes.reserveCapacity(seconds * 96_000)
        for index in 0..<(seconds * 48_000) {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            let white = Double(Int64(bitPattern: state) >> 11) / Double(1 << 52)
            low = 0.97 * low + 0.03 * white
            let time = Double(index) / 48_000
            let within = time.truncatingRemainder(dividingBy: 1.7)
            phase += 2 * Double.pi * (2500 + 2500 * within) / 48_000
            let chirp = within < 0.4 ? 0.2 * sin(phase) * sin(Double.pi * within / 0.4) : 0
            let sample = Int16(max(-1, min(1, 0.5 * low + chirp)) * 32_000)
            bytes.append(UInt8(truncatingIfNeeded: sample))
            bytes.append(UInt8(truncatingIfNeeded: sample >> 8))
        }
        return bytes
    }
}
