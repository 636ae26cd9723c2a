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

    private final class Line: @unchecked Sendable {
        // Used under the lock below.
        var line: OutputLine?
        var isOn: Bool
        var reason: String?

        init(isOn: Bool) { self.isOn = isOn }
    }

    private let outputs: [OutputSettings]
    private let store: Store
    private let logger: Logger
    private let lines: Mutex<[String: Line]>

    init(_ outputs: [OutputSettings], store: Store, logger: Logger) {
        self.outputs = outputs
        self.store = store
        self.logger = logger
        lines = Mutex(
            Dictionary(
                uniqueKeysWithValues: outputs.map { output in
                    if case .switched(let isOn) = output.mode { (output.name, Line(isOn: isOn)) } else {
                        (output.name, Line(isOn: false))
                    }
                }))
    }

    var statuses: [Status] {
        lines.withLock { lines in
            outputs.compactMap { output in
                lines[output.name].map {
                    Status(
                        name: output.name, place: output.place.text, mode: output.mode.text, isOn: $0.isOn,
                        reason: $0.reason)
                }
            }
        }
    }

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            await withTaskGroup(of: Void.self) { group in
                for output in outputs { group.addTask { await self.keep(output) } }
            }
        }
    }

    /// Sets a switched output.
    func set(_ name: String, isOn: Bool) throws(Refusal) {
        guard let output = outputs.first(where: { $0.name == name }) else { throw .unknown }
        guard case .switched = output.mode else { throw .notSwitched }
        if let reason = apply(output, isOn: isOn) { throw .failed(reason) }
        logger.notice("An output was set", metadata: ["output": "\(name)", "on": "\(isOn)"])
    }

    /// Takes a switched output the other way for a while, and back.
    func cycle(_ name: String, for duration: Duration = .seconds(2)) async throws(Refusal) {
        guard let output = outputs.first(where: { $0.name == name }) else { throw .unknown }
        guard case .switched = output.mode else { throw .notSwitched }
        let isOn = lines.withLock { $0[name]?.isOn ?? false }
        logger.notice("An output is cycled", metadata: ["output": "\(name)"])
        if let reason = apply(output, isOn: !isOn) { throw .failed(reason) }
        try? await Task.sleep(for: duration)
        if let reason = apply(output, isOn: isOn) { throw .failed(reason) }
    }

    private func keep(_ output: OutputSettings) async {
        var isOn = false
        while !Task.isCancelled {
            switch output.mode {
            case .switched:
                // Set again and again only while it cannot be: a chip may come later, or come back.
                let (wanted, isHeld) = lines.withLock { ($0[output.name]?.isOn ?? false, $0[output.name]?.line != nil) }
                if !isHeld { _ = apply(output, isOn: wanted) }
                try? await Task.sleep(for: Self.retry)
            case .heartbeat(let seconds):
                isOn.toggle()
                _ = apply(output, isOn: isOn)
                try? await Task.sleep(for: .seconds(seconds / 2))
            case .watchdog(let seconds):
                if store.stuck < Self.longestStuck {
                    isOn.toggle()
                    _ = apply(output, isOn: isOn)
                }
                try? await Task.sleep(for: .seconds(seconds / 2))
            }
        }
    }

    /// Nil when it is so now.
    private func apply(_ output: OutputSettings, isOn: Bool) -> String? {
        let (before, after) = lines.withLock { lines -> (String?, String?) in
            guard let line = lines[output.name] else { return (nil, nil) }
            let before = line.reason
            line.isOn = isOn
            do throws(LineError) {
                if let held = line.line {
                    line.reason = held.set(isOn) ? nil : "the chip is gone"
                    if line.reason != nil { line.line = nil }
                } else {
                    line.line = try OutputLine(output.place, isActive: isOn)
                    line.reason = nil
                }
            } catch {
                line.reason = error.description
            }
            return (before, line.reason)
        }
        if let after, before != after {
            logger.warning(
                "An output cannot be set; it is tried again", metadata: ["output": "\(output.name)", "reason": "\(after)"])
        }
        return after
    }
}
