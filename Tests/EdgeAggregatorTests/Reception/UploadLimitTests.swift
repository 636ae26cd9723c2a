import EdgeTesting
import Foundation
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization
import Testing

@testable import EdgeAggregator

/// What uploads that are not whole yet may have, and that they do not hold up the end of the daemon.
@Suite struct UploadLimitTests {
    @Test func oneOwnerMayHaveHalfAndAllTogetherNoMore() {
        let budget = SpoolBudget.uploads(maximumUploadBytes: 100)
        #expect(budget.take(250, of: "a"))
        #expect(!budget.take(1, of: "a"))
        #expect(budget.take(240, of: "b"))
        #expect(budget.take(10, of: "c"))
        #expect(!budget.take(1, of: "c"))
        // What is given back can be taken again, also by others.
        budget.give(250, of: "a")
        #expect(budget.take(240, of: "c"))
        #expect(!budget.take(1, of: "c"))
        #expect(budget.take(10, of: "a"))
        #expect(!budget.take(1, of: "a"))
    }

    @Test func unfinishedUploadsAreBoundedAndGiveBackWhatTheyHad() throws {
        let folder = try TestFolders.temporary("edge-upload-limit")
        defer { TestFolders.remove(folder) }
        let disk = DiskGuard(
            recordingsFolder: folder, reserveBytes: 0, metrics: StorageMetrics(), logger: Logger(label: "test"))
        let budget = SpoolBudget.uploads(maximumUploadBytes: 1000)
        func form(_ address: String) -> UploadForm {
            UploadForm(
                boundary: "b", spoolFolder: folder, mostBytes: 1000, permit: disk.permit(for: .sound, at: folder),
                budget: budget, address: ClientAddress(address))
        }
        let begin = ByteBuffer(
            string: "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n"
                + String(repeating: "x", count: 1000))
        var forms: [UploadForm] = []
        defer { for index in forms.indices { forms[index].discard() } }
        func begins(_ address: String) throws -> Bool {
            var form = form(address)
            do {
                try form.consume(begin)
                forms.append(form)
                return true
            } catch UploadRefusal.tooManyUnfinished {
                form.discard()
                return false
            }
        }
        // Two of 1000 bytes each fit into 2500, whichever address of its network the sender uses.
        #expect(try (0..<4).map { try begins("2001:db8::\($0)") } == [true, true, false, false])
        // Three more fit into 5000 for all, whether or not the parser keeps the last bytes back, in which a boundary can begin.
        #expect(try (0..<4).map { try begins("192.0.2.\($0)") } == [true, true, true, false])
        for index in forms.indices { forms[index].discard() }
        forms = []
        #expect(try begins("2001:db8::1"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 1)
    }

    private struct Waiting: Service {
        let began: AsyncStream<Void>.Continuation
        let failure: @Sendable (any Error) -> Void

        func run() async throws {
            began.yield()
            do { try await UploadRoute.wait(.seconds(86_400)) } catch { failure(error) }
        }
    }

    @Test func anUploadThatWaitsDoesNotHoldUpTheEnd() async throws {
        let (began, continuation) = AsyncStream<Void>.makeStream()
        let reason = Mutex<UploadRefusal?>(nil)
        let waiting = Waiting(began: continuation) { error in reason.withLock { $0 = error as? UploadRefusal } }
        let configuration = ServiceGroupConfiguration(
            services: [.init(service: waiting, successTerminationBehavior: .gracefullyShutdownGroup)],
            logger: Logger(label: "test"))
        let group = ServiceGroup(configuration: configuration)
        async let running: Void = group.run()
        for await _ in began.prefix(1) {}
        await group.triggerGracefulShutdown()
        try await running
        #expect(reason.withLock { $0 } == .stopping)
    }
}
