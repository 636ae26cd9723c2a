import Foundation
import Hummingbird
import Sensors
import Store
import TextParts

/// `GET /`: one page for the operator who stands beside the box. Plain HTML, made here, without scripts; it asks for
/// itself again every ten seconds.
struct Dashboard: Sendable {
    let snapshot: StatusSnapshot

    @Sendable
    func answer(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let status = try await snapshot.take()
        var filter = DetectionFilter()
        filter.limit = 25
        let detections = try await snapshot.house.store.detections(filter)
        let listeners = try await snapshot.house.store.listeners(limit: 200)
        let nodes = try await snapshot.house.store.nodes()
        return Answer.text(page(status, detections, listeners, nodes), type: "text/html; charset=utf-8")
    }

    private func page(
        _ status: StatusSnapshot.Status, _ detections: [DetectionRecord], _ listeners: [ListenerSummary],
        _ nodes: [NodeRecord]
    ) -> String {
        """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta http-equiv="refresh" content="10">
        <title>\(HTML.text(status.box)) · Edge Aggregator</title>
        <style>\(Self.style)</style></head><body>
        <header><h1>\(HTML.text(status.box))</h1>
        <p class="\(status.isReady ? "good" : "bad")">\(status.isReady ? "Receiving" : HTML.text(status.reasons.joined(separator: "; ")))</p></header>
        \(status.mode == "safe" ? "<p class=\"bad\">Safe mode: after bad starts only reception and storage run.</p>" : "")
        <main>
        \(figures(status))
        \(listenerTable(listeners))
        \(nodeTable(nodes))
        \(detectionTable(detections))
        \(lossTable(status))
        \(sinkTable(status))
        </main>
        <footer>Version \(status.version), up \(Self.span(status.uptimeSeconds)) · <a href="/api/v1/status">status</a> ·
        <a href="/api/v1/detections?format=csv">detections as CSV</a> · <a href="/metrics">metrics</a> ·
        <a href="/openapi.json">API</a>\(status.isClockSynchronised ? "" : " · <b class=\"bad\">the clock is not set</b>")</footer>
        </body></html>
        """
    }

    private func figures(_ status: StatusSnapshot.Status) -> String {
        let lag = status.analysis.lagSeconds.map(Self.span) ?? "–"
        let cells: [(String, String, Bool)] = [
            ("Listeners", "\(status.listeners.connected)", true),
            ("Received", Self.bytes(status.listeners.bytesReceived), true),
            ("Detections", "\(status.analysis.detections)", true),
            ("Lag", status.analysis.isOn ? lag : "off", true),
            ("Waiting", "\(status.queues.windowsWaiting) windows, \(status.queues.backlogRecordings) recordings", true),
            (
                "Disk free", "\(Self.bytes(status.disk.freeBytes)) of \(Self.bytes(status.disk.totalBytes))",
                status.disk.isSoundKept
            ),
            ("Recordings", "\(status.disk.recordings), \(Self.bytes(status.disk.recordingBytes))", true),
        ]
        return "<section class=\"figures\">"
            + cells.map { name, value, isGood in
                "<div><span>\(name)</span><b class=\"\(isGood ? "" : "bad")\">\(HTML.text(value))</b></div>"
            }.joined() + "</section>"
    }

    /// The nodes that were heard of last; nothing on a box without any.
    private func nodeTable(_ nodes: [NodeRecord]) -> String {
        guard !nodes.isEmpty else { return "" }
        let now = snapshot.house.time.now().utcNanoseconds
        let last = nodes.sorted { $0.lastSeenNanoseconds > $1.lastSeenNanoseconds }.prefix(100)
        let rows = last.map { node -> [String] in
            let seen =
                node.lastSeenNanoseconds > 0
                ? "\(Self.span(Double(now - node.lastSeenNanoseconds) / 1e9)) ago" : "never"
            return [
                node.key.kind, HTML.text(node.key.name), HTML.text(node.label), node.admission.rawValue, seen,
                node.battery.map { String(format: "%.0f %%", $0) } ?? "",
                node.signal.map { String(format: "%.0f dBm", $0) } ?? "",
            ]
        }
        return HTML.table("Nodes", ["Kind", "Id", "Name", "State", "Seen", "Battery", "Signal"], rows, empty: "")
    }

    private func listenerTable(_ listeners: [ListenerSummary]) -> String {
        let connected = Dictionary(grouping: snapshot.house.registry.connections) { $0.listener.text }
        let now = snapshot.house.time.now()
        let rows = listeners.map { listener -> [String] in
            let connections = connected[listener.id] ?? []
            let last = connections.map(\.status.lastReceivedMonotonicNanoseconds).max()
            let seen =
                last.map { "\(Self.span(Double(now.monotonicNanoseconds - $0) / 1e9)) ago" }
                ?? ISOTime.text(listener.lastSeenNanoseconds)
            let gaps = connections.reduce(0.0) { $0 + $1.status.gapSeconds }
            return [
                HTML.text(listener.id), connections.isEmpty ? "<i>away</i>" : "<b class=\"good\">here</b>",
                HTML.text(seen),
                "\(listener.recordings)", "\(listener.detections)", String(format: "%.1f s", gaps),
            ]
        }
        return HTML.table(
            "Listeners", ["Listener", "Now", "Last sound", "Recordings", "Detections", "Gaps"], rows,
            empty: "No listener has connected yet.")
    }

    private func detectionTable(_ detections: [DetectionRecord]) -> String {
        HTML.table(
            "Last detections", ["When (UTC)", "Species", "Confidence", "Listener"],
            detections.map { detection in
                [
                    HTML.text(
                        ISOTime.text(detection.startNanoseconds).replacingText("T", with: " ").prefix(19).description),
                    "\(HTML.text(detection.commonName)) <i>\(HTML.text(detection.scientificName))</i>",
                    String(format: "%.0f %%", detection.confidence * 100), HTML.text(detection.listenerID),
                ]
            }, empty: "Nothing has been detected yet.")
    }

    private func lossTable(_ status: StatusSnapshot.Status) -> String {
        HTML.table(
            "Heard and lost, last 24 hours", ["Listener", "Heard", "Filled", "Gaps", "Lost"],
            status.loss.map { loss in
                [
                    HTML.text(loss.listener), Self.span(loss.heardSeconds), Self.span(loss.filledSeconds),
                    Self.span(loss.gapSeconds), Self.span(loss.lossSeconds),
                ]
            }, empty: "Nothing has been heard yet.")
    }

    private func sinkTable(_ status: StatusSnapshot.Status) -> String {
        HTML.table(
            "Far ends", ["Sink", "State", "Delivered", "Waiting", "Refused"],
            status.sinks.map { sink in
                let isWell = sink.state == "flowing"
                return [
                    HTML.text(sink.name),
                    "<b class=\"\(isWell ? "good" : "bad")\">\(HTML.text(sink.state))</b> \(HTML.text(sink.reason ?? ""))",
                    "\(sink.factsDone)", "\(sink.facts(.waiting) + sink.facts(.held))", "\(sink.facts(.refused))",
                ]
            }, empty: "No sink is set: everything stays on this box.")
    }

    static func bytes(_ count: Int64) -> String {
        let units = ["B", "kB", "MB", "GB", "TB"]
        var value = Double(count)
        var unit = 0
        while value >= 1000, unit < units.count - 1 {
            value /= 1000
            unit += 1
        }
        return unit == 0 ? "\(count) B" : String(format: "%.1f %@", value, units[unit])
    }

    static func span(_ seconds: Double) -> String {
        switch seconds {
        case ..<120: String(format: "%.1f s", seconds)
        case ..<7200: String(format: "%.0f min", seconds / 60)
        case ..<172_800: String(format: "%.1f h", seconds / 3600)
        default: String(format: "%.1f days", seconds / 86_400)
        }
    }

    private static let style = """
        :root{color-scheme:light dark;--line:#8884}body{font:16px/1.4 system-ui,sans-serif;margin:0 auto;max-width:60rem;\
        padding:1rem}header{display:flex;gap:1rem;align-items:baseline;flex-wrap:wrap}h1{font-size:1.4rem;margin:0}\
        h2{font-size:1.05rem;margin:1.6rem 0 .4rem}p{margin:0}.figures{display:grid;gap:.6rem;margin-top:1rem;\
        grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr))}.figures div{border:1px solid var(--line);\
        border-radius:.5rem;padding:.5rem .7rem}.figures span{display:block;font-size:.8rem;opacity:.7}\
        .scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
        th,td{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line)}th{font-size:.8rem;\
        opacity:.7;font-weight:500}.good{color:#1a7f37}.bad{color:#c62828}footer{margin-top:2rem;font-size:.85rem;opacity:.8}
        """
}

/// Small pieces of HTML.
enum HTML {
    /// Text that cannot be taken for markup.
    static func text(_ text: String) -> String {
        text.replacingText("&", with: "&amp;").replacingText("<", with: "&lt;").replacingText(">", with: "&gt;")
            .replacingText("\"", with: "&quot;").replacingText("'", with: "&#39;")
    }

    /// - Parameter rows: cells that are markup already.
    static func table(_ title: String, _ head: [String], _ rows: [[String]], empty: String) -> String {
        guard !rows.isEmpty else { return "<h2>\(title)</h2><p>\(empty)</p>" }
        let headCells = head.map { "<th>\($0)</th>" }.joined()
        let body = rows.map { row in "<tr>" + row.map { "<td>\($0)</td>" }.joined() + "</tr>" }.joined(separator: "\n")
        return "<h2>\(title)</h2><div class=\"scroll\"><table><tr>\(headCells)</tr>\n\(body)</table></div>"
    }
}
