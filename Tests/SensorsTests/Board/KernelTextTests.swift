import Foundation
import Testing

@testable import Sensors

/// The kernel's files hold names that somebody chose, such as those of network devices.
@Suite struct KernelTextTests {
    @Test func namesThatEndLines() throws {
        let root = "\(NSTemporaryDirectory())/kernel-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: root) }
        func put(_ path: String, _ text: String) throws {
            let url = URL(fileURLWithPath: root + path)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: url)
        }
        try put("/a", "first line\r\n\u{301}second line\r\nthird\n")
        let files = KernelFiles(root: root)
        #expect(files.lines("/a") == ["first line", "\u{301}second line", "third"])
        #expect(files.word("/a") == "first")
        try put("/number", "42\r\n")
        #expect(files.number("/number") == 42)
        // proc(5), /proc/net/dev: a device may be named with any bytes but `/` and white space.
        let bytes = Array(repeating: "0", count: 7).joined(separator: " ")
        try put(
            "/proc/net/dev",
            "Inter-| Receive | Transmit\n face |bytes\n  \u{301}wlan0: 1000 \(bytes) 2000 \(bytes)\n    lo: 5 \(bytes) 6 \(bytes)\n"
        )
        #expect(BoardHealth(root: root, diskPath: "/").network().first { $0.name == "network_sent" }?.value == 2000)
    }
}
