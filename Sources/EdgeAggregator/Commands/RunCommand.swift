import ArgumentParser
import AudioDSP
import CEdgeSystem
import Foundation
import Logging
import NIOCore
import Sensors
import ServiceLifecycle
import Store

/// `edge-aggregator run`: the daemon.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run the daemon until it is told to end (SIGTERM, SIGINT).",
        discussion: ExitCodes.help)

    @OptionGroup var options: SettingsOptions

    @Option(help: "A recording to name in the greeting.")
    var sample: String?

    func run() async throws {
        let settings = try await load()
        let reporter = SentryReporter(settings)
        LogLevel.set(settings.box.logLevel)
        LogFile.begin(settings)
        LoggingSystem.bootstrap { [format = settings.box.logFormat] label in
            let lines = LineLogHandler(label: label, format: format)
            guard let reporter else { return QuietCancellation(lines) }
            return QuietCancellation(SentryLogHandler(lines: lines, reporter: reporter))
        }
        let logger = Logger(label: "edge-aggregator")
        logger.notice("\(settings.places)")
        for warning in settings.warnings + settings.notices { logger.warning("\(warning)") }
        signal(SIGPIPE, SIG_IGN)
        // Until the daemon listens for it, a reload changes nothing.
        signal(SIGHUP, SIG_IGN)
        edge_use_little_memory()
        if let processors = settings.appliance.otherProcessors, !processors.bindEverything() {
            logger.error("The machine has none of the processors of everything_but_analyzer_cpu_affinity; all are used")
        }
        let start = StartGuard(
            baseFolder: settings.box.baseFolder, mostBadStarts: settings.appliance.mostBadStarts,
            bootID: TimeService().now().bootID)
        do {
            try FileManager.default.createDirectory(
                atPath: settings.box.baseFolder, withIntermediateDirectories: true)
            let lock = try InstanceLock(baseFolder: settings.box.baseFolder)
            defer { withExtendedLifetime(lock) {} }
            // Earlier versions left them to everybody.
            let database = "\(settings.box.baseFolder)/edge.db"
            for path in [
                database, "\(database)-wal", "\(database)-shm", settings.recordings.folder,
                settings.recordings.spoolFolder,
            ] { FileModes.hide(path) }
            let mode = try await begin(start, logger)
            let token = try openDoor(settings, logger)
            let manager = ServiceManager()
            // The check of a large database takes its time.
            manager.mayTakeLonger(by: 900)
            let daemon = try Daemon(
                settings: settings, logger: logger, mode: mode, apiToken: token, manager: manager)
            let watch = StartWatch(
                start: start, mode: mode, safeFor: .seconds(settings.appliance.safeModeMinutes * 60), logger: logger,
                end: { kill(getpid(), SIGTERM) })
            var others: [any Service] = [watch]
            if let reporter { others.append(reporter) }
            let sample = sample
            try await daemon.run(beside: others) { ports in
                greet(settings, port: ports.first ?? 0, sample: sample)
            }
            // Ended as it should be: the next start is a normal one; after safe mode it is watched closely.
            if mode == .normal { start.lasted() } else { start.tryAgain() }
        } catch {
            if error is CannotContinue { start.excuse() }
            let (reason, code) = Self.explain(error, settings)
            printError(reason)
            await reporter?.reportEnd(reason)
            throw code
        }
    }

    private func load() async throws -> Settings {
        do {
            return try Settings(path: options.path)
        } catch let problems as SettingsProblems {
            let code = SettingsOptions.refuse(problems)
            await SentryReporter(ofWrongSettings: options.path)?.reportEnd("The settings are wrong:\n\(problems)")
            throw code
        }
    }

    /// Why the daemon ends, with what to do, and its exit code.
    private static func explain(_ error: any Error, _ settings: Settings) -> (reason: String, code: ExitCode) {
        switch error {
        case let error as CannotContinue: return ("The daemon has ended itself: \(error)", ExitCodes.cannotContinue)
        case let error as ClassifierError: return ("\(error)", ExitCodes.failure)
        case let error as InstanceLock.Refused: return ("\(error)", ExitCodes.inputOutput)
        case let error as ServerIdentity.Unusable: return ("\(error)", ExitCodes.settings)
        case let error as StoreError: return ("\(error)", ExitCodes.inputOutput)
        case let error as CocoaError:
            return (
                "A folder could not be made below \(settings.box.baseFolder): \(error.localizedDescription) "
                    + "Set base_dir to one that this user can write.", ExitCodes.inputOutput
            )
        case let error as IOError where error.errnoCode == EADDRINUSE:
            let addresses = settings.box.addresses.map { "\($0.host):\($0.port)" }.joined(separator: ", ")
            return (
                "An address is in use already, by another daemon or program (`ss -ltnp` tells): \(addresses) or port "
                    + "\(settings.box.metricsPort) for metrics. End that one, or set listen and metrics_port.",
                ExitCodes.failure
            )
        case let problems as SettingsProblems: return ("\(problems)", ExitCodes.settings)
        default: return ("The daemon ended: \(error)", ExitCodes.failure)
        }
    }
}

/// Counts the start, and says what it is to be.
private func begin(_ start: StartGuard, _ logger: Logger) async throws -> StartGuard.Mode {
    guard start.mostBadStarts > 0 else { return .normal }
    let before = start.badStarts
    let pause = start.backOff(after: before)
    if pause > .zero {
        logger.warning("The last starts came to bad ends; this one waits", metadata: ["seconds": "\(pause.seconds)"])
        try await Task.sleep(for: pause)
    }
    let mode = start.begin()
    if mode == .safe {
        logger.critical(
            "Safe mode: sound and readings are received and kept; analysis, deliveries and forecasts wait. The log of the starts before tells why",
            metadata: ["bad_starts": "\(before)"])
    }
    return mode
}

/// The token that the API asks for; empty for none. One that is made now is shown.
private func openDoor(_ settings: Settings, _ logger: Logger) throws -> String {
    let (token, isNew) = try APITokenFile.token(for: settings)
    if isNew {
        let file = APITokenFile(baseFolder: settings.box.baseFolder)
        // To the terminal or the log of the very first start, and never again.
        print("The token for the page and the API, made just now and kept in \(file.path):\n  \(token)")
        fflush(nil)
    }
    return token
}

private func greet(_ settings: Settings, port: Int, sample: String?) {
    let address = settings.box.addresses.first?.localURL(port: port) ?? "http://127.0.0.1:\(port)"
    print("Edge Aggregator \(Version.text) is ready.")
    print("  page      \(address)/")
    print("  API       \(address)/api/v1/status   (described by \(address)/openapi.json)")
    print("  listeners POST \(address)\(settings.reception.streamPath)?listener_id=<id>")
    print("  \(settings.places)")
    if let sample {
        let program = CommandLine.arguments.first ?? "edge-aggregator"
        print("Play a real bird recording at it, from another terminal:")
        print(
            "  \(program) stream \(sample) --listeners 5 --interval 2 --stagger 10 --url \(address)\(settings.reception.streamPath)"
        )
    }
    // The greeting is waited for by whoever started the daemon, also through a pipe.
    fflush(nil)
}
