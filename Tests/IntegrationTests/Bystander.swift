import EdgeTesting
import Foundation
import Synchronization
import Testing

/// What an honest listener, an honest uploader, a CO2 unit and a health check get while others misbehave: they run beside an
/// attack, from another address than it, and everything that they sent must have arrived as if they were alone.
///
/// Latencies are measured, as the only times in the tests that are: a device that answers late is what an attack wants.
final class Bystander: @unchecked Sendable {
    struct Result {
        var latencies: [Double] = []
        var failures: [String] = []
        var uploads = 0
        var unitBytes: [UInt8] = []
        var heardSeconds = 0.0

        /// Seconds within which 99 of 100 answers came.
        var p99: Double {
            let sorted = latencies.sorted()
            return sorted.isEmpty ? .infinity : sorted[min(sorted.count - 1, sorted.count * 99 / 100)]
        }
    }

    private static let pageSamples = 4800
    private let daemon: DaemonProcess
    private let port: Int
    private let isOver = Atomic<Bool>(false)
    private let result = Mutex(Result())
    private let finished = DispatchSemaphore(value: 0)
    private var threads = 0

    /// Begins to send.
    init(_ daemon: DaemonProcess) throws {
        self.daemon = daemon
        port = daemon.port
        run("stream") { try self.listen() }
        run("upload") { try self.upload() }
        run("unit") { try self.push() }
        run("health") { try self.check() }
    }

    private func run(_ name: String, _ body: @escaping @Sendable () throws -> Void) {
        threads += 1
        let thread = Thread { [self] in
            do { try body() } catch { fail("\(name): \(error)") }
            finished.signal()
        }
        thread.start()
    }

    private func fail(_ text: String) { result.withLock { $0.failures.append(text) } }

    private func timed<Value>(_ body: () throws -> Value) rethrows -> Value {
        let started = ContinuousClock.now
        let value = try body()
        let seconds = (ContinuousClock.now - started) / .seconds(1)
        result.withLock { $0.latencies.append(seconds) }
        return value
    }

    private var isRunning: Bool { !isOver.load(ordering: .relaxed) }

    private func listen() throws {
        let stream = try daemon.stream("honest")
        let started = ContinuousClock.now
        var sent = 0
        while isRunning {
            let wait = (started + .milliseconds(100 * (sent + 1)) - .now) / .seconds(1)
            if wait > 0 { Thread.sleep(forTimeInterval: wait) }
            let page = WireMaker.ramp(from: sent * Self.pageSamples, samples: Self.pageSamples)
            try stream.send(WireMaker.chunk(WireMaker.frame(sent, page)))
            sent += 1
        }
        try stream.send(WireMaker.lastChunk)
        let status = try timed { try DaemonProcess.parse(stream.answer()).status }
        if status != 200 { fail("the stream was answered \(status)") }
        let seconds = Double(sent * Self.pageSamples) / 48_000
        result.withLock { $0.heardSeconds = seconds }
    }

    private func upload() throws {
        let samples = 4 * 8000
        let file =
            WireMaker.wavHeader(rate: 8000, bits: 16, dataBytes: samples * 2)
            + WireMaker.ramp(from: 0, samples: samples)
        let form =
            Array(
                "--XbX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n"
                    .utf8) + file + Array("\r\n--XbX--\r\n".utf8)
        while isRunning {
            let answer = try timed {
                try DaemonProcess.request(
                    "POST", "/recordings_upload?listener_id=honest-uploader", port: port,
                    headers: ["Content-Type: multipart/form-data; boundary=XbX"], body: form)
            }
            if answer.status == 200 {
                result.withLock { $0.uploads += 1 }
            } else {
                fail("an upload was answered \(answer)")
            }
            Thread.sleep(forTimeInterval: 0.3)
        }
    }

    private func push() throws {
        let unit = StockUnit("aabbccddee01", port: port)
        var number = 0
        while isRunning {
            let line = Array(unit.line(number).utf8)
            let offset = result.withLock { $0.unitBytes.count }
            let answer = try timed { try unit.push("data/readings-0001.tsv", offset: offset, line) }
            if StockUnit.acknowledged(answer.body)?.bytes == offset + line.count {
                result.withLock { $0.unitBytes += line }
                number += 1
            } else {
                fail("a push was answered \(answer.status) \(answer.body)")
            }
            Thread.sleep(forTimeInterval: 0.2)
        }
    }

    private func check() throws {
        while isRunning {
            let status = try timed { try DaemonProcess.request("GET", "/healthz", port: port).status }
            if status != 200 { fail("the health check was answered \(status)") }
            Thread.sleep(forTimeInterval: 0.1)
        }
    }

    /// Ends the honest senders, and holds what the daemon has against what they sent.
    func judge() throws {
        isOver.store(true, ordering: .relaxed)
        for _ in 0..<threads { finished.wait() }
        let result = result.withLock { $0 }
        #expect(result.failures == [])
        #expect(
            result.p99 <= 2, "\(result.latencies.count) answers, the slowest after \(result.latencies.max() ?? 0) s")
        #expect(result.uploads > 0)
        let answer = try daemon.json("/api/v1/coverage?listener=honest")
        let coverage = try #require((answer["listeners"] as? [[String: Any]])?.first)
        #expect(coverage["gaps"] as? [String: Double] == [:], "\(coverage)")
        #expect(coverage["losses"] as? [String: Double] == [:], "\(coverage)")
        let heard = try #require(coverage["heard_seconds"] as? Double)
        #expect(abs(heard - result.heardSeconds) < 1.0 / 48_000, "\(result.heardSeconds) s sent: \(coverage)")
        #expect(coverage["accounted_seconds"] as? Double == heard)
        #expect(try daemon.recordings("&listener=honest-uploader").count == result.uploads)
        let files = FileManager.default.enumerator(atPath: daemon.folder)?.compactMap { $0 as? String } ?? []
        let kept = try #require(files.first { $0.hasSuffix("readings-0001.tsv") })
        #expect(try Array(Data(contentsOf: URL(fileURLWithPath: "\(daemon.folder)/\(kept)"))) == result.unitBytes)
    }
}
