import ArgumentParser
import Forecasts
import Foundation
import Logging
import Sensors
import Store

/// `edge-aggregator forecasts`: what there is of wind, currents and waves; collecting by hand; looking into files.
struct ForecastsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forecasts", abstract: "Show and collect forecast fields.", discussion: ExitCodes.help,
        subcommands: [Status.self, Collect.self, Cleanup.self, Show.self])

    // MARK: - status

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what the running daemon has, and when it collects next.")

        @OptionGroup var options: SettingsOptions
        @OptionGroup var daemon: DaemonOptions

        @Flag(help: "Print the daemon's answer as it is.")
        var json = false

        func run() async throws {
            let body = try await daemon.ask("/api/v1/forecasts", try options.load())
            if json {
                print(body)
                return
            }
            print(Self.text(try daemon.decode(body)))
        }

        static func text(_ status: DatasetResources.Status) -> String {
            var lines = [status.isOn ? "forecasts are collected" : "forecasts are not collected (forecasts: disabled)"]
            for kind in status.types {
                lines.append(
                    "\(kind.dataType): \(kind.datasets) fields, \(Dashboard.bytes(kind.bytes)), newest run \(kind.newestRun ?? "none"), "
                        + "\(kind.from ?? "–") to \(kind.to ?? "–")" + (kind.isCollected ? "" : ", not collected"))
                lines.append(
                    "  collections: \(kind.collectionsCompleted) completed, \(kind.collectionsFailed) failed"
                        + (kind.lastCollection.map { last in
                            "; last at \(last.startedAt): \(last.status), \(last.recordsCollected) fields"
                                + (last.errorMessage.map { ", \($0)" } ?? "")
                        } ?? ""))
            }
            for job in status.jobs {
                lines.append(
                    "\(job.job): \(job.state)" + (job.nextRunAt.map { ", next \($0)" } ?? "")
                        + (job.failure.map { "; last time: \($0)" } ?? ""))
            }
            lines.append(
                "fetched today: \(Dashboard.bytes(status.fetchedTodayBytes))"
                    + (status.dailyBytes > 0 ? " of \(Dashboard.bytes(status.dailyBytes))" : ""))
            if let shortage = status.shortage { lines.append("held: \(shortage)") }
            return lines.joined(separator: "\n")
        }
    }

    fileprivate static func open(_ settings: Settings, _ body: (ForecastHouse) async throws -> Void) async throws {
        guard settings.forecasts.problems.isEmpty else {
            throw SettingsOptions.refuse(SettingsProblems(problems: settings.forecasts.problems))
        }
        try await OpenStore.openAsOwner(settings) { store in
            var logger = Logger(label: "edge-aggregator")
            // How each thing ends is printed.
            logger.logLevel = .error
            let house = try ForecastHouse(
                settings.forecasts, store: store, time: TimeService(), disk: DiskGuard(settings), logger: logger)
            defer { house.stop() }
            try FileManager.default.createDirectory(
                atPath: settings.forecasts.folder, withIntermediateDirectories: true)
            try await body(house)
        }
    }

    // MARK: - cleanup

    struct Cleanup: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove now what is older than max_data_age_days, or more than forecasts_max_bytes.")

        @OptionGroup var options: SettingsOptions

        func run() async throws {
            try await ForecastsCommand.open(try options.load()) { house in
                let report = try await FieldCleanup(house: house).run()
                print("\(report.removed) fields of \(Dashboard.bytes(report.bytes)) are removed")
            }
        }
    }

    // MARK: - collect

    struct Collect: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Collect now what is missing, without the daemon or beside it.")

        @OptionGroup var options: SettingsOptions

        @Option(help: "wind, ocean-currents or waves; all that are set when it is left out.")
        var type: String?

        @Flag(name: .customLong("dry-run"), help: "Only say what would be fetched.")
        var isDryRun = false

        func run() async throws {
            let settings = try options.load()
            var wanted: ForecastKind?
            if let type {
                wanted = ForecastKind(name: type)
                guard wanted != nil else {
                    let known = ForecastKind.allCases.map(\.rawValue).joined(separator: ", ")
                    throw ValidationError("`\(type)` is none of \(known)")
                }
            }
            let kinds = wanted.map { [$0] } ?? settings.forecasts.kinds
            try await ForecastsCommand.open(settings) { house in
                if !isDryRun { try await FieldCleanup(house: house).adoptRegion() }
                var isFailed = false
                for kind in kinds {
                    if kind == .currents, !settings.forecasts.copernicus.isSet {
                        print("ocean-currents: set COPERNICUS_USERNAME and COPERNICUS_PASSWORD")
                        isFailed = isFailed || wanted != nil
                        continue
                    }
                    do {
                        if isDryRun {
                            print(try await ForecastPlan(house: house).text(kind))
                        } else {
                            isFailed = await !collect(kind, house) || isFailed
                        }
                    } catch {
                        print("\(kind.rawValue): \(error)")
                        isFailed = true
                    }
                }
                if isFailed { throw ExitCodes.failure }
            }
        }

        private func collect(_ kind: ForecastKind, _ house: ForecastHouse) async -> Bool {
            let bar = TransferBar(isTerminal: isatty(1) == 1)
            var collector = Collector(house: house)
            let before = house.fetcher.bytes.total
            collector.progress = { kind, done, all in
                bar.show(kind.rawValue, done: done, of: all, bytes: house.fetcher.bytes.total - before)
            }
            let record = await collector.collect(kind)
            bar.end()
            let seconds = (record.completedSeconds ?? record.startedSeconds) - record.startedSeconds
            print(
                "\(kind.rawValue): \(record.status.rawValue), \(record.collected) fields, "
                    + "\(Dashboard.bytes(house.fetcher.bytes.total - before)) in \(seconds) s"
                    + (record.error.map { "; \($0)" } ?? ""))
            return record.status == .completed
        }
    }

    // MARK: - show

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what is in a GRIB2 or NetCDF file, with a small map.")

        @Argument(help: "A GRIB2 file, or a NetCDF file of this program.", completion: .file())
        var file: String

        func run() throws {
            let bytes: Data
            do {
                bytes = try Data(contentsOf: URL(fileURLWithPath: file), options: .alwaysMapped)
            } catch {
                printError("\(file) cannot be read: \(error.localizedDescription)")
                throw ExitCodes.inputOutput
            }
            do {
                print(
                    bytes.starts(with: Array("GRIB".utf8))
                        ? try FieldReport.grib(Array(bytes)) : try FieldReport.netCDF(file))
            } catch {
                printError("\(file): \(error)")
                throw ExitCodes.failure
            }
        }
    }
}
