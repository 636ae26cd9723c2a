import Foundation

/// A report as people read it.
struct BenchmarkTable {
    let report: BenchmarkReport

    var text: String {
        (machine + board + analysis + disk + reception + [""]).joined(separator: "\n")
    }

    private var machine: [String] {
        let machine = report.machine
        let frequency = machine.maximumFrequencyHertz.map { String(format: ", up to %.2f GHz", $0 / 1e9) } ?? ""
        return [
            "Edge Aggregator \(report.program.version), \(report.program.build) build, \(report.date)",
            "  board      \(machine.board ?? "unknown")",
            "  processor  \(machine.processor ?? "unknown"), \(machine.cores) cores\(frequency)"
                + (machine.frequencyGovernor.map { ", governor \($0)" } ?? ""),
            "  system     \(machine.operatingSystem ?? "unknown"), Linux \(machine.kernel) \(machine.architecture), "
                + "pages of \(machine.pageBytes) bytes, \(Dashboard.bytes(machine.memoryBytes)) of memory",
        ] + (report.program.build == "debug" ? ["  A debug build is slower: compare it with nothing."] : [])
            + (report.besideDaemon ? ["  A daemon ran beside it: the figures are what it left."] : [])
    }

    private var board: [String] {
        func flag(_ value: Bool?) -> String { value.map { $0 ? "yes" : "no" } ?? "unknown" }
        func number(_ value: Double?, _ format: String) -> String {
            value.map { String(format: format, $0) } ?? "unknown"
        }
        func row(_ name: String, _ text: (BoardState) -> String) -> String {
            "  " + Self.columns([(name, -28), (text(report.before), 12), (text(report.after), 12)])
        }
        return [
            "", Self.columns([("Board", -30), ("before", 12), ("after", 12)]),
            row("temperature, °C") { number($0.temperatureCelsius, "%.1f") },
            row("clock, MHz") { number($0.frequencyHertz.map { $0 / 1e6 }, "%.0f") },
            row("throttled") { flag($0.throttled) },
            row("throttled since its start") { flag($0.throttledSinceStart) },
            row("supply too low") { flag($0.underVoltage) },
            row("supply too low since start") { flag($0.underVoltageSinceStart) },
            row("load") { number($0.load, "%.2f") },
        ]
    }

    private var analysis: [String] {
        guard let analysis = report.analysis else { return ["", "Analysis: left out"] }
        let rows = analysis.byWorkers.map { entry in
            Self.columns([
                ("\(entry.workers)\(entry.workers == analysis.configuredWorkers ? " *" : "")", -10),
                (String(format: "%.2f", entry.windowsPerSecond), 12), ("\(entry.listeners)", 12),
                (entry.board.temperatureCelsius.map { String(format: "%.1f", $0) } ?? "unknown", 12),
            ])
        }
        return [
            "",
            String(
                format: "Analysis: a listener has %.3f windows a second (overlap_sec %g)",
                analysis.windowsPerSecondPerListener, analysis.overlapSeconds),
            "  " + Self.columns([("workers", -10), ("windows/s", 12), ("listeners", 12), ("°C", 12)]),
        ] + rows.map { "  \($0)" } + [
            "  \(analysis.formula)", "  * as set (analyzer_workers); silent windows cost next to nothing",
        ]
    }

    private var disk: [String] {
        guard let disk = report.disk else { return ["", "Disk: left out"] }
        func row(_ name: String, _ time: Distribution) -> String {
            func milliseconds(_ value: Double) -> (String, Int) { (String(format: "%.2f", value), 12) }
            return "  "
                + Self.columns([
                    (name, -28), ("\(time.samples)", 8), milliseconds(time.p50Milliseconds),
                    milliseconds(time.p99Milliseconds), milliseconds(time.maximumMilliseconds),
                ])
        }
        let what = [disk.disk.fileSystem, disk.disk.device, disk.disk.model].compactMap { $0 }
        return [
            "", "Disk: \(what.isEmpty ? "unknown" : what.joined(separator: ", "))",
            "  " + Self.columns([("", -28), ("samples", 8), ("p50 ms", 12), ("p99 ms", 12), ("max ms", 12)]),
        ] + disk.writes.map { row("\($0.bytes) bytes, synced", $0.time) } + [row("database commit", disk.commit)]
    }

    private var reception: [String] {
        guard let reception = report.reception else { return ["", "Reception: left out"] }
        return [
            "",
            "Reception: one thread, in memory, without network and disk; frames only do not touch the sound's bytes",
            "  " + Self.columns([("", -28), ("MB/s", 12), ("listeners", 12)]),
        ]
            + reception.measurements.map { entry in
                "  "
                    + Self.columns([
                        ("\(entry.sampleRate) Hz\(entry.withWindows ? ", with windows" : ", frames only")", -28),
                        (String(format: "%.0f", entry.megabytesPerSecond), 12), ("\(entry.listenersPerThread)", 12),
                    ])
            }
    }

    /// Texts with their widths; a negative one is left-aligned.
    private static func columns(_ cells: [(text: String, width: Int)]) -> String {
        cells.map { text, width in
            let room = String(repeating: " ", count: max(0, abs(width) - text.unicodeScalars.count))
            return width < 0 ? text + room : room + text
        }.joined()
    }
}
