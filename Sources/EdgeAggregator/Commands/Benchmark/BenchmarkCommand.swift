import ArgumentParser
import AudioDSP
import CEdgeSystem
import Foundation
import Store
import TextParts
import UnixSignals

/// `edge-aggregator benchmark`: what this machine can do, measured on it.
struct BenchmarkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "benchmark",
        abstract: "Measure this machine: analysis, disk, reception; and write a file to send back.",
        discussion: """
            Windows per second by the number of analysis workers, the time that the disk takes to sync, how many listeners that is \
            enough for, and the board's temperature and throttling before and after. The file names no host, place or user, and \
            holds no secret. At most 64 MB are used on the disk at a time, at most 300 MB are written in all, and every file but \
            the result is removed again, after Ctrl-C too. End the daemon for the time of it.
            \(ExitCodes.help) Ended by a signal: 128 and the signal's number.
            """)

    enum Part: String, CaseIterable, ExpressibleByArgument {
        case analysis, disk, reception
    }

    @OptionGroup var options: SettingsOptions

    @Option(help: "Seconds that each measurement takes, 0.05 to 600.")
    var seconds = 10.0

    @Option(help: "A part to leave out: analysis, disk or reception. Can be given again.")
    var skip: [Part] = []

    @Option(
        help: "The folder whose disk is measured, if not base_dir: for example where recordings_dir is another disk.")
    var folder: String?

    @Option(
        name: .shortAndLong,
        help:
            "The file to write; else edge-benchmark-<board>-<date>.json here, or in /tmp where nothing can be written here."
    )
    var output: String?

    @Option(help: "A text for the file, such as the card's maker or the case. It is sent back as you write it.")
    var note: String?

    @Flag(help: "Measure although a daemon works in base_dir. Each disturbs the other.")
    var besideDaemon = false

    func validate() throws {
        if !(0.05...600).contains(seconds) { throw ValidationError("--seconds is 0.05 to 600") }
        if Set(skip).count == Part.allCases.count { throw ValidationError("nothing is left to be measured") }
    }

    func run() async throws {
        let settings = try options.load()
        let stop = BenchmarkStop()
        // Before the first file is made, so that none stays behind.
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup)
        do {
            let target = try target()
            let report = try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { for await signal in signals { stop.request(bySignal: signal.rawValue) } }
                defer { group.cancelAll() }
                return try await measure(settings, stop)
            }
            // First, since whoever reads the table may have had enough of it.
            try write(report, to: target)
            print(BenchmarkTable(report: report).text)
            print(
                "Written to \(target). Look through it and send it back, or put its figures into docs/performance.md.")
        } catch let stopped as BenchmarkStop.Stopped {
            printError("Ended early: no result was written, and the benchmark's own files are removed")
            throw stopped.exitCode
        } catch let problem as BenchmarkProblem {
            printError("\(problem)")
            throw problem.exitCode
        } catch let error as ClassifierError {
            throw explain(error, settings)
        } catch let error where error is SegmentError || error is StoreError || error is CocoaError {
            printError(
                "The disk could not be measured: \(error). Look at `df -h` and the kernel's log (`dmesg`), measure another folder with --folder, or leave it out with --skip disk"
            )
            throw ExitCodes.inputOutput
        }
    }

    /// - Returns: the exit code.
    private func explain(_ error: ClassifierError, _ settings: Settings) -> ExitCode {
        let isMissing = [.libraryMissing, .modelUnreadable, .labelsUnreadable].contains(error.code)
        let fetch =
            isMissing
            ? ". With the Debian package, /usr/lib/edge-aggregator/fetch-models fetches it (docs/package.md). Is base_dir the daemon's (\(settings.box.baseFolder))?"
            : "."
        printError("The analysis cannot be measured: \(error)\(fetch) Or leave it out with --skip analysis")
        return isMissing ? ExitCodes.unavailable : ExitCodes.failure
    }

    private func measure(_ settings: Settings, _ stop: BenchmarkStop) async throws -> BenchmarkReport {
        let machine = BenchmarkMachine.this()
        let presence = DaemonPresence(baseFolder: settings.box.baseFolder)
        defer { withExtendedLifetime(presence) {} }
        guard besideDaemon || !presence.isRunning else {
            throw BenchmarkProblem(
                description:
                    "A daemon, or another benchmark, works in \(settings.box.baseFolder): each would disturb the other, and the figures would be too low. End it for the time of the benchmark (`systemctl stop edge-aggregator`), or measure beside it with --beside-daemon",
                exitCode: ExitCodes.inputOutput)
        }
        // Whatever is missing is found before the first measurement.
        let analysis =
            skip.contains(.analysis) ? nil : try AnalysisBenchmark(settings: settings.analysis, seconds: seconds)
        let scratch = skip.contains(.disk) ? nil : try makeFolder(settings)
        defer { scratch?.remove() }
        let counts = AnalysisBenchmark.counts(cores: machine.cores)
        let steps =
            (analysis == nil ? 0 : counts.count) + (scratch == nil ? 0 : DiskBenchmark.sizes.count + 1)
            + (skip.contains(.reception) ? 0 : ReceptionBenchmark.measurements.count)
        printError("This takes up to \(Dashboard.span(Double(steps) * seconds)); Ctrl-C ends it")

        let before = BoardState.now()
        let analyzed = try await analysis?.measure(counts: counts, stop: stop)
        // A fast disk is done with its samples before the time is over.
        let synced =
            scratch == nil
            ? nil : try await DiskBenchmark(folder: scratch?.path ?? "", seconds: seconds).measure(stop: stop)
        let received =
            skip.contains(.reception)
            ? nil
            : try await ReceptionBenchmark(
                seconds: seconds, overlapSeconds: settings.analysis.overlapSeconds,
                maximumRecordingSeconds: settings.recordings.maximumSeconds
            ).measure(stop: stop)
        let report = BenchmarkReport(
            program: .this, date: ISOTime.text(edge_realtime_ns()), note: note, secondsPerMeasurement: seconds,
            besideDaemon: presence.isRunning, machine: machine, before: before, after: BoardState.now(),
            analysis: analyzed, disk: synced, reception: received)
        try stop.check()
        return report
    }

    private func write(_ report: BenchmarkReport, to target: String) throws {
        do {
            try report.json.write(to: URL(fileURLWithPath: target), options: .atomic)
        } catch {
            throw BenchmarkProblem(
                description:
                    "\(target) could not be written: \(error.localizedDescription); name another file with --output",
                exitCode: ExitCodes.inputOutput)
        }
    }

    private func makeFolder(_ settings: Settings) throws -> BenchmarkFolder {
        let parent = folder ?? settings.box.baseFolder
        guard FileManager.default.fileExists(atPath: parent) else {
            throw BenchmarkProblem(
                description:
                    "\(parent) does not exist: give the daemon's settings (--settings, or BASE_DIR in the environment), measure another folder with --folder, or leave the disk out with --skip disk",
                exitCode: ExitCodes.inputOutput)
        }
        let permit = DiskGuard(settings).permit(for: .sound, at: parent)
        do throws(SegmentError) {
            try permit.take(DiskBenchmark.roomBytes, path: parent, isCopy: true)
        } catch {
            throw BenchmarkProblem(
                description:
                    "\(parent) has too little room: \(Dashboard.bytes(Int64(DiskBenchmark.roomBytes))) beyond min_free_disk_bytes (\(settings.recordings.leastFreeBytes)) are needed. Make room, measure another folder with --folder, or leave the disk out with --skip disk",
                exitCode: ExitCodes.inputOutput)
        }
        return try BenchmarkFolder(in: parent)
    }

    /// The file to write, once it is sure that it can be.
    private func target() throws -> String {
        let machine = BenchmarkMachine.this()
        let files = FileManager.default
        let here = files.currentDirectoryPath
        let name =
            "edge-benchmark-\(Self.fileName(machine.board ?? machine.architecture))-\(SupportBundle.stamp()).json"
        let target = output ?? (files.isWritableFile(atPath: here) ? name : "\(NSTemporaryDirectory())/\(name)")
        let parent = URL(fileURLWithPath: target).deletingLastPathComponent().path
        var isFolder: ObjCBool = false
        // Memory: `isFolder` is borrowed for the call.
        let isThere = unsafe files.fileExists(atPath: target, isDirectory: &isFolder)
        guard files.isWritableFile(atPath: parent), !(isThere && isFolder.boolValue) else {
            throw BenchmarkProblem(
                description:
                    "\(target) cannot be written: name a file in a folder that this user can write with --output",
                exitCode: ExitCodes.inputOutput)
        }
        return target
    }

    /// `Raspberry Pi 4 Model B Rev 1.4` becomes `raspberry-pi-4-model-b-rev-1.4`.
    static func fileName(_ board: String) -> String {
        let bytes = board.utf8.map { byte -> UInt8 in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte + 32
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."): byte
            default: UInt8(ascii: "-")
            }
        }
        return String(decoding: bytes.prefix(60), as: UTF8.self).parts(at: "-").joined(separator: "-")
    }
}
