import ArgumentParser
import Foundation

/// `edge-aggregator status`: what the running daemon is at.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show listeners, queues, lag, disk and loss of the running daemon.",
        discussion: ExitCodes.help)

    @OptionGroup var options: SettingsOptions

    @OptionGroup var daemon: DaemonOptions

    @Flag(help: "Print the daemon's answer as it is.")
    var json = false

    func run() async throws {
        let settings = try options.load()
        let body = try await daemon.ask("/api/v1/status", settings)
        if json {
            print(body)
            return
        }
        let status: StatusSnapshot.Status = try daemon.decode(body)
        print(Self.text(status))
    }

    static func text(_ status: StatusSnapshot.Status) -> String {
        let seconds = { (value: Double?) in value.map { String(format: "%.2f s", $0) } ?? "–" }
        var lines = [
            "\(status.box), version \(status.version), up \(Dashboard.span(status.uptimeSeconds)): "
                + (status.isReady ? "ready" : "NOT READY: \(status.reasons.joined(separator: "; "))"),
            "clock      \(status.isClockSynchronised ? "synchronised" : "not synchronised"), \(status.now)",
            "listeners  \(status.listeners.connected) connected, \(Dashboard.bytes(status.listeners.bytesReceived)) received",
            "queues     \(status.queues.windowsWaiting) windows, \(status.queues.backlogRecordings) recordings wait for analysis, "
                + "\(status.queues.storeChanges) changes for the database",
            "analysis   "
                + (status.analysis.isOn
                    ? "\(status.analysis.windows) windows, \(status.analysis.detections) detections, lag \(seconds(status.analysis.lagSeconds)), "
                        + "\(seconds(status.analysis.meanInferenceSeconds)) a window, \(status.analysis.windowsSpilled) left to disk"
                    : "off"),
            "disk       \(Dashboard.bytes(status.disk.freeBytes)) free of \(Dashboard.bytes(status.disk.totalBytes)), "
                + "\(status.disk.recordings) recordings of \(Dashboard.bytes(status.disk.recordingBytes))"
                + (status.disk.isSoundKept ? "" : ", SOUND IS NOT KEPT"),
        ]
        if let at = status.settings.rejectedAt, let reason = status.settings.rejectedReason {
            lines.insert("settings   NOT TAKEN OVER at \(at): \(reason)", at: 1)
        }
        for sink in status.sinks { lines.append("sink       \(sink.text)") }
        lines.append("loss, last 24 hours:")
        if status.loss.isEmpty { lines.append("  nothing has been heard yet") }
        for loss in status.loss {
            lines.append(
                "  \(loss.listener.padding(toLength: max(16, loss.listener.count), withPad: " ", startingAt: 0)) "
                    + "heard \(Dashboard.span(loss.heardSeconds)), filled \(Dashboard.span(loss.filledSeconds)), "
                    + "gaps \(Dashboard.span(loss.gapSeconds)), lost \(Dashboard.span(loss.lossSeconds))")
        }
        return lines.joined(separator: "\n")
    }
}
