import EdgeTesting
import Foundation
import Logging
import ServiceLifecycle
import Store
import Synchronization
import Testing

@testable import EdgeAggregator

/// The whole daemon inside the test's own process, so that a sanitizer sees all of it.
@Suite(.serialized) struct PipelineTests {
    private func settings(_ folder: String, _ more: [String: String]) throws -> Settings {
        var environment = [
            "BASE_DIR": folder, "LISTEN": "127.0.0.1:0", "METRICS_PORT": "0", "MODELS_DIR": try TestFolders.models(),
            "ANALYZER_WORKERS": "2", "SYNC_INTERVAL_MS": "50", "MAX_RECORDING_DURATION_SEC": "4",
            "PRIVACY_THRESHOLD": "1", "MIN_FREE_DISK_BYTES": "1000000",
        ]
        environment.merge(more) { $1 }
        var loader = SettingsLoader()
        loader.loadEnvironment(environment)
        return try Settings(loader: loader, file: nil)
    }

    @Test func takesManyListenersAtOnceAndFindsTheSameInAll() async throws {
        let folder = try TestFolders.temporary("edge-pipeline")
        defer { TestFolders.remove(folder) }
        var logger = Logger(label: "test")
        logger.logLevel = .error
        let daemon = try Daemon(settings: settings(folder, [:]), logger: logger)
        let birds = try Array(Data(contentsOf: URL(fileURLWithPath: TestFolders.birds())).dropFirst(44))
        let port = Counter()
        let running = Task { [logger] in
            try await ServiceGroup(
                services: [DaemonService(daemon: daemon) { ports in port.add(Int64(ports.first ?? 0)) }],
                logger: logger
            ).run()
        }
        while port.total == 0 { try await Task.sleep(for: .milliseconds(20)) }
        let address = Int(port.total)
        // The clients block, so they have threads of their own: the daemon needs the cooperative ones.
        let ended = Counter()
        for number in 0..<6 {
            Thread {
                Self.stream("p\(number)", birds, port: address)
                ended.add(1)
            }.start()
        }
        while ended.total < 6 { try await Task.sleep(for: .milliseconds(20)) }
        while try await daemon.house.store.pendingAnalysisCount() > 0 || (daemon.analysis?.queueLengths.live ?? 0) > 0 {
            try await Task.sleep(for: .milliseconds(50))
        }
        var filter = DetectionFilter()
        filter.limit = 1000
        let found = try await daemon.house.store.detections(filter)
        var byListener: [String: Set<String>] = [:]
        for detection in found {
            let text = "\(detection.scientificName) \(Int((detection.confidence * 1000).rounded()))"
            byListener[detection.listenerID, default: []].insert(text)
        }
        #expect(byListener.count == 6)
        // One sound gives one set of detections, whether its windows were live or read from disk.
        #expect(
            Set(byListener.values.map { Set($0.map { $0.split(separator: " ").dropLast().joined(separator: " ") }) })
                .count == 1)
        running.cancel()
        _ = try? await running.value
    }

    private struct DaemonService: Service {
        let daemon: Daemon
        let onReady: @Sendable ([Int]) -> Void
        func run() async throws { try await daemon.run(onReady: onReady) }
    }

    private static func stream(_ listener: String, _ sound: [UInt8], port: Int) {
        do {
            let connection = try RawConnection(port: port)
            try connection.send(
                "POST /recordings_stream?listener_id=\(listener) HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            try connection.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader(rate: 32_000))))
            for (number, start) in stride(from: 0, to: sound.count, by: 32_768).enumerated() {
                let page = Array(sound[start..<min(start + 32_768, sound.count)])
                try connection.send(WireMaker.chunk(WireMaker.frame(number + 1, page)))
            }
            try connection.send(WireMaker.lastChunk)
            #expect(try DaemonProcess.parse(connection.answer()).status == 200)
        } catch {
            Issue.record(error)
        }
    }
}
