import Foundation
import Logging
import Sensors
import ServiceLifecycle
import Store
import Synchronization

/// Sets the lines of the settings: at the start, by command, and at a beat.
final class OutputService: Service {
    struct Status: Sendable {
        let name: String
        let place: String
        let mode: String
        var isOn: Bool
        /// Why it could not be set.
        var reason: String?
    }

    enum Refusal: Error {
        case unknown
        /// It beats by itself.
        case notSwitched
        case failed(String)
    }

    /// A watchdog outside is fed no more when changes have waited for the disk for so long.
    static let longestStuck = Duration.seconds(60)
    private static let retry = Duration.seconds(5)

    /// One output; its chip is used on its own queue alone, for a chip behind USB may keep its caller for seconds.
    private final class Line: @unchecked Sendable {
        let queue = DispatchQueue(label: "output")
        var line: OutputLine?
        let status: Mutex<Status>

        init(_ output: OutputSettings) {
            let isOn = if case .switched(let isOn) = output.mode { isOn } else { false }
            status = Mutex(
                Status(name: output.name, place: output.place.text, mode: output.mode.text, isOn: isOn, reason: nil))
        }
    }

    private let outputs: [OutputSettings]
    private let store: Store
    private let logger: Logger
    private let lines: [String: Line]

    init(_ outputs: [OutputSettings], store: Store, logger: Logger) {
        self.outputs = outputs
        self.store = store
        self.logger = logger
        lines = Dictionary(uniqueKeysWithValues: outputs.map { ($0.name, Line($0)) })
    }

    var statuses: [Status] {
        outputs.compactMap { lines[$0.name]?.status.withLock { $0 } }
    }

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            await withTaskGroup(of: Void.self) { group in
                for output in outputs { group.addTask { await self.keep(output) } }
            }
        }
    }

    /// Sets a switched output.
    func set(_ name: String, isOn: Bool) async throws(Refusal) {
        guard let output = outputs.first(where: { $0.name == name }) else { throw .unknown }
        guard case .switched = output.mode else { throw .notSwitched }
        if let reason = await apply(output, isOn: isOn) { throw .failed(reason) }
        logger.notice("An output was set", metadata: ["output": "\(name)", "on": "\(isOn)"])
    }

    /// Takes a switched output the other way for a while, and back.
    func cycle(_ name: String, for duration: Duration = .seconds(2)) async throws(Refusal) {
        guard let output = outputs.first(where: { $0.name == name }) else { throw .unknown }
        guard case .switched = output.mode else { throw .notSwitched }
        let isOn = lines[name]?.status.withLock { $0.isOn } ?? false
        logger.notice("An output is cycled", metadata: ["output": "\(name)"])
        if let reason = await apply(output, isOn: !isOn) { throw .failed(reason) }
        try? await Task.sleep(for: duration)
        if let reason = await apply(output, isOn: isOn) { throw .failed(reason) }
    }

    private func keep(_ output: OutputSettings) async {
        var isOn = false
        while !Task.isCancelled {
            switch output.mode {
            case .switched:
                // Set again and again only while it cannot be: a chip may come later, or come back.
                await hold(output)
                try? await Task.sleep(for: Self.retry)
            case .heartbeat(let seconds):
                isOn.toggle()
                _ = await apply(output, isOn: isOn)
                try? await Task.sleep(for: .seconds(seconds / 2))
            case .watchdog(let seconds):
                if store.stuck < Self.longestStuck {
                    isOn.toggle()
                    _ = await apply(output, isOn: isOn)
                }
                try? await Task.sleep(for: .seconds(seconds / 2))
            }
        }
    }

    /// Takes a switched output's line, if it is not held.
    private func hold(_ output: OutputSettings) async {
        guard let line = lines[output.name] else { return }
        let isHeld = await withCheckedContinuation { continuation in
            line.queue.async { continuation.resume(returning: line.line != nil) }
        }
        if !isHeld { _ = await apply(output, isOn: line.status.withLock { $0.isOn }) }
    }

    /// Nil when it is so now.
    private func apply(_ output: OutputSettings, isOn: Bool) async -> String? {
        guard let line = lines[output.name] else { return nil }
        line.status.withLock { $0.isOn = isOn }
        let reason: String? = await withCheckedContinuation { continuation in
            line.queue.async {
                do throws(LineError) {
                    if let held = line.line {
                        if held.set(isOn) { return continuation.resume(returning: nil) }
                        line.line = nil
                        return continuation.resume(returning: "the chip is gone")
                    }
                    line.line = try OutputLine(output.place, isActive: isOn)
                    continuation.resume(returning: nil)
                } catch {
                    continuation.resume(returning: error.description)
                }
            }
        }
        let before = line.status.withLock { status in
            defer { status.reason = reason }
            return status.reason
        }
        if let reason, before != reason {
            logger.warning(
                "An output cannot be set; it is tried again",
                metadata: ["output": "\(output.name)", "reason": "\(reason)"])
        }
        return reason
    }
}
