import AudioDSP
import EdgeTesting
import Foundation
import Synchronization
import Testing

@testable import EdgeAggregator

private final class EndCounter: Sendable {
    private let ended = Mutex(0)

    var count: Int { ended.withLock { $0 } }

    func note() { ended.withLock { $0 += 1 } }
}

/// Uploads are decoded in turns, so that nobody waits for a file that takes hours.
@Suite struct DecodingServiceTests {
    private func inFolder(_ body: (String) async throws -> Void) async throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        try await body(folder)
    }

    private func file(_ bytes: [UInt8], _ path: String) throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return path
    }

    private func wav(_ samples: Int) -> [UInt8] {
        WireMaker.wavHeader(dataBytes: samples * 2) + WireMaker.ramp(from: 0, samples: samples)
    }

    /// Five files of 38 hours come first, on one thread, from the same address or from another: a short one has its answer while
    /// none of them is done. When the daemon stops, they end at once.
    @Test(arguments: ["10.0.0.1", "10.0.0.2"])
    func aShortUploadDoesNotWaitForLongOnes(address: String) async throws {
        try await inFolder { folder in
            let long = try file(SilentFLAC.file(hours: 38), "\(folder)/long.flac")
            let short = try file(wav(48_000), "\(folder)/short.wav")
            let service = DecodingService(limits: .init(), threads: 1, slice: .milliseconds(20))
            defer { service.stop() }
            let ended = EndCounter()
            try await withThrowingTaskGroup(of: UploadRefusal?.self) { group in
                for _ in 0..<5 {
                    group.addTask {
                        defer { ended.note() }
                        do {
                            _ = try await service.inspect(long, expected: .flac, address: "10.0.0.1")
                            return nil
                        } catch let refusal as UploadRefusal {
                            return refusal
                        }
                    }
                }
                while service.count < 5 { try await Task.sleep(for: .milliseconds(1)) }
                let facts = try await service.inspect(short, expected: .wav, address: address)
                #expect(facts.frames == 48_000 && facts.sampleRate == 48_000 && facts.encoding == "signed16")
                #expect(ended.count == 0)
                #expect(service.count == 5)
                service.stop()
                var refusals: [UploadRefusal?] = []
                for try await refusal in group { refusals.append(refusal) }
                #expect(refusals == [UploadRefusal?](repeating: .stopping, count: 5))
            }
            #expect(service.count == 0)
            let late = await #expect(throws: UploadRefusal.self) {
                try await service.inspect(short, expected: .wav, address: address)
            }
            #expect(late == .stopping)
        }
    }

    @Test func rejectsFilesBeyondTheirLimits() async throws {
        try await inFolder { folder in
            let limits = UploadInspection.Limits(maximumAudioHours: 1.5, maximumProcessorSeconds: 600)
            let service = DecodingService(limits: limits, threads: 1)
            defer { service.stop() }
            func refusal(_ hours: Double, declaring: Int?) async throws -> UploadRefusal? {
                let path = try file(SilentFLAC.file(hours: hours, declaring: declaring), "\(folder)/a.flac")
                do {
                    _ = try await service.inspect(path, expected: .flac, address: "a")
                    return nil
                } catch let refusal as UploadRefusal {
                    return refusal
                }
            }
            #expect(try await refusal(1.4, declaring: nil) == nil)
            #expect(try await refusal(1.4, declaring: 0) == nil)
            #expect(try await refusal(2, declaring: 0) == .tooLong(hours: nil, maximumHours: 1.5))
            // What it declares counts where that is more: 38 h × 3600 s × 48 kHz.
            let declared = 38 * 3600 * 48_000
            #expect(try await refusal(1, declaring: declared) == .tooLong(hours: 38, maximumHours: 1.5))
            let costly = DecodingService(
                limits: .init(maximumAudioHours: 48, maximumProcessorSeconds: 0.01), threads: 1)
            defer { costly.stop() }
            let path = try file(SilentFLAC.file(hours: 38), "\(folder)/b.flac")
            let error = await #expect(throws: UploadRefusal.self) {
                try await costly.inspect(path, expected: .flac, address: "a")
            }
            #expect(error == .tooCostly(maximumSeconds: 0.01))
        }
    }

    /// One address cannot fill the queue for others, and a sender that is gone costs nothing.
    @Test func boundsWhatWaits() async throws {
        try await inFolder { folder in
            let long = try file(SilentFLAC.file(hours: 38), "\(folder)/long.flac")
            let short = try file(wav(4800), "\(folder)/short.wav")
            let service = DecodingService(limits: .init(), threads: 1, slice: .milliseconds(5))
            defer { service.stop() }
            let tasks = (0..<DecodingService.maximumWaitingPerAddress).map { _ in
                Task { try await service.inspect(long, expected: .flac, address: "a") }
            }
            while service.count < tasks.count { try await Task.sleep(for: .milliseconds(1)) }
            let error = await #expect(throws: UploadRefusal.self) {
                try await service.inspect(short, expected: .wav, address: "a")
            }
            #expect(error == .tooBusy)
            let facts = try await service.inspect(short, expected: .wav, address: "b")
            #expect(facts.frames == 4800)
            for task in tasks { task.cancel() }
            for task in tasks {
                let refusal = await #expect(throws: UploadRefusal.self) { try await task.value }
                #expect(refusal == .stopping)
            }
            #expect(service.count == 0)
        }
    }

    @Test func spansOfVoicesAreMerged() {
        #expect(Redactor.merged([]) == [])
        #expect(Redactor.merged([10..<20, 0..<5, 5..<7, 15..<30, 16..<17]) == [0..<7, 10..<30])
    }
}
