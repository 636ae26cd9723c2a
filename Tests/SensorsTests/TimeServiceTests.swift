import Foundation
import Sensors
import Testing

@Suite struct TimeServiceTests {
    @Test func agreesWithTheKernel() throws {
        let boot = try String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
        let service = TimeService()
        let first = service.now()
        #expect(first.bootID == boot.trimmingCharacters(in: .whitespacesAndNewlines))
        let uptime =
            try String(contentsOfFile: "/proc/uptime", encoding: .utf8).split(separator: " ").first.flatMap {
                Double($0)
            } ?? 0
        #expect(abs(Double(first.monotonicNanoseconds) / 1e9 - uptime) < 5)
        #expect(abs(Double(first.utcNanoseconds) / 1e9 - Date().timeIntervalSince1970) < 5)
        #expect(service.now().monotonicNanoseconds >= first.monotonicNanoseconds)
        #expect(first.utcOffsetNanoseconds == first.utcNanoseconds - first.monotonicNanoseconds)
    }
}
