import CEdgeSystem
import Foundation

/// Tells systemd, or whoever set `NOTIFY_SOCKET`, how the daemon is (sd_notify(3)). Without one it says nothing.
struct ServiceManager: Sendable {
    private let socket: String?
    /// Within which the manager wants to hear of progress; nil when it does not watch this process.
    let watchdog: Duration?

    init(environment: [String: String] = ProcessInfo.processInfo.environment) {
        socket = environment["NOTIFY_SOCKET"].flatMap { $0.isEmpty ? nil : $0 }
        // sd_watchdog_enabled(3): meant for this process only if its number is named, or none.
        let isMeant = environment["WATCHDOG_PID"].map { $0 == "\(getpid())" } ?? true
        watchdog = environment["WATCHDOG_USEC"].flatMap { Int64($0) }.flatMap { microseconds in
            isMeant && microseconds > 0 ? .microseconds(microseconds) : nil
        }
    }

    func ready(_ status: String) { tell("READY=1\nSTATUS=\(status)") }
    func alive() { tell("WATCHDOG=1") }
    func stopping() { tell("STOPPING=1\nSTATUS=Closing recordings") }

    /// Start-up that takes long, such as the check of a large database, is no hang.
    func mayTakeLonger(by seconds: Int) { tell("EXTEND_TIMEOUT_USEC=\(seconds)000000") }

    /// Memory: the path and the bytes are borrowed for the call, which hands a copy to the kernel.
    private func tell(_ text: String) {
        guard let socket else { return }
        let bytes = Array(text.utf8)
        _ = unsafe bytes.withUnsafeBytes { unsafe edge_datagram(socket, $0.baseAddress, $0.count) }
    }
}
