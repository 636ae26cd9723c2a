import AudioDSP
import Foundation
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import Sensors
import ServiceLifecycle
import Store
import Synchronization
import UnixSignals

/// The whole daemon, put together from its parts. Free of logic: `run` and the tests both come here.
struct Daemon {
    let settings: Settings
    let logger: Logger
    let house: ReceptionHouse
    let analysis: AnalysisService?
    let routes: Routes
    private let gate: StreamGate
    private let ingest: IngestLoop
    private let deliveries: DeliveryHouse
    private let sensors: SensorService
    private let outputs: OutputService
    private let cards: [SoundCardService]
    private let field: FieldAssembly
    private let forecasts: ForecastAssembly
    private let runs: RunCounts
    private let retention: RetentionService
    private let season: SeasonService?

    init(settings: Settings, logger: Logger, time: any TimeSource = TimeService()) throws {
        self.settings = settings
        self.logger = logger
        let folders = [settings.box.baseFolder, settings.recordings.folder, settings.recordings.spoolFolder]
        for folder in folders {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
        var options = Store.Options()
        options.commitIntervalMilliseconds = settings.box.commitIntervalMilliseconds
        options.deliveries = DeliveryHouse.plan(settings, isClockHeld: settings.deliveries.clockWaitSeconds > 0)
        let store = try Store(path: "\(settings.box.baseFolder)/edge.db", options: options)
        if let damaged = store.damagedCopy {
            logger.error(
                "The database was damaged: it was put aside and a new one begun; recordings on disk are taken up again",
                metadata: ["aside": "\(damaged)"])
        }
        runs = try store.beginRunBlocking(bootID: time.now().bootID)
        _ = try Recovery(
            store: store, recordingsFolder: settings.recordings.folder, spoolFolder: settings.recordings.spoolFolder,
            minimumNanoseconds: Int64(settings.recordings.minimumSeconds * 1e9), isAnalysisOn: settings.analysis.isOn,
            time: time, logger: logger
        ).run()

        let events = EventHub()
        let storageMetrics = StorageMetrics()
        let analysisMetrics = AnalysisMetrics()
        let registry = ListenerRegistry(
            limits: ListenerRegistry.Limits(
                listeners: settings.reception.mostListeners,
                connectionsPerListener: settings.reception.mostConnectionsPerListener,
                idleSeconds: settings.reception.idleTimeoutSeconds),
            firstCounter: try store.highestSessionCounterBlocking(bootID: time.now().bootID), time: time, logger: logger
        )
        (analysis, season) = try AnalysisAssembly(
            settings: settings, store: store, events: events, time: time, metrics: analysisMetrics, logger: logger
        ).make()
        house = ReceptionHouse(
            configuration: try ReceptionHouse.Configuration(settings: settings),
            executor: IngestExecutor(threads: settings.recordings.threads), registry: registry, store: store,
            names: RecordingNames(
                isTaken: { [folder = settings.recordings.folder] name in
                    RecordingNames.isTaken(name, store: store, folder: folder)
                }, latestSecond: { RecordingNames.latestSecond(of: $0, store: store) }),
            keeper: SegmentKeeper(
                syncIntervalMilliseconds: settings.recordings.syncIntervalMilliseconds, metrics: storageMetrics,
                logger: logger),
            storageGuard: StorageGuard(
                path: settings.recordings.folder, reserveBytes: Int64(settings.recordings.leastFreeBytes),
                metrics: storageMetrics, logger: logger),
            analysis: analysis, events: events, time: time, metrics: ReceptionMetrics(), logger: logger)
        retention = RetentionService(
            limits: RetentionService.Limits(
                keep: settings.recordings.keep, ageNanoseconds: Int64(settings.recordings.mostAgeDays * 86_400e9),
                bytes: Int64(settings.recordings.mostBytes), freeBytes: Int64(settings.recordings.leastFreeBytes)),
            house: house, interval: .seconds(5))
        let directory = DeviceDirectory(house: house)
        deliveries = try DeliveryHouse(
            settings: settings, store: store, time: time, logger: logger, devices: { await directory.devices() })
        gate = StreamGate(
            house: house,
            admission: ListenerAdmission(allowed: settings.reception.allowed, tokens: settings.reception.tokens))
        ingest = try IngestLoop(
            house: house, threads: settings.recordings.threads,
            quotaBytesPerSecond: settings.reception.quotaBytesPerSecond)
        outputs = OutputService(settings.outputs, store: store, logger: logger)
        sensors = try SensorService(settings.sensors, outputs: outputs, store: store, time: time, logger: logger)
        cards = settings.soundCards.map { [house] in SoundCardService($0, house: house) }
        field = try FieldAssembly(settings.nodes, store: store, time: time, events: events, logger: logger)
        forecasts = try ForecastAssembly(settings, store: store, time: time, logger: logger)
        routes = Routes(
            settings: settings, house: house, gate: gate, deliveries: deliveries, sensors: sensors,
            outputs: outputs, cards: cards, field: field, forecasts: forecasts, storage: storageMetrics,
            analysis: analysisMetrics,
            started: time.now())
    }

    /// Runs until a signal ends it; every recording is closed by then.
    ///
    /// - Parameter others: services that run as long.
    func run(
        beside others: [any Service] = [], onReady: @escaping @Sendable ([Int]) -> Void = { _ in }
    ) async throws {
        analysis?.start()
        let listening = ListeningAddresses(count: settings.box.addresses.count, onReady: onReady)
        let router = routes.router()
        var services: [any Service] = others + [house.registry, retention]
        if let season { services.append(season) }
        if settings.box.healthIntervalSeconds > 0 {
            services.append(
                BoardRecorder(
                    store: house.store, time: house.time, diskPath: settings.box.baseFolder, runs: runs,
                    interval: .seconds(settings.box.healthIntervalSeconds)))
        }
        services += cards
        services += field.services
        services.append(forecasts.service)
        if !settings.outputs.isEmpty { services.append(outputs) }
        if !settings.sensors.isEmpty { services.append(sensors) }
        services.append(
            HistoryService(
                store: house.store, time: house.time,
                mostAgeNanoseconds: Int64(settings.box.mostHistoryDays * 86_400e9),
                mostBytes: Int64(settings.box.mostHistoryBytes), interval: .seconds(60), logger: logger))
        services += deliveries.services(settings, house: house, metrics: routes.metrics)
        for address in settings.box.addresses {
            services.append(server(router, address, listening))
        }
        if settings.box.metricsPort > 0, let first = settings.box.addresses.first {
            let address = BoxSettings.Address(host: first.host, port: settings.box.metricsPort)
            services.append(server(routes.metricsRouter(), address, nil))
        }
        let mock = MockGenerator(
            listeners: settings.reception.mockListeners, port: { listening.firstPort },
            path: settings.reception.streamPath, token: settings.reception.tokens, logger: logger)
        if settings.reception.mockListeners > 0 { services.append(mock) }
        services.append(ingest)
        services.append(ShutdownAnnouncer(house: house))
        var configuration = ServiceGroupConfiguration(
            services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(settings.box.shutdownTimeoutSeconds)
        let group = ServiceGroup(configuration: configuration)
        let outcome: Result<Void, any Error>
        do {
            try await group.run()
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        ingest.stop()
        house.keeper.stop()
        analysis?.stop()
        deliveries.stop()
        field.stop()
        forecasts.house.stop()
        if case .success = outcome { house.store.endRunBlocking() }
        house.store.close()
        try outcome.get()
    }

    private func server(
        _ router: Router<EdgeContext>, _ address: BoxSettings.Address, _ listening: ListeningAddresses?
    ) -> some Service {
        let http = HTTP1Channel.Configuration(
            idleTimeout: .seconds(Int64(max(240, settings.reception.idleTimeoutSeconds + 60))))
        let path = settings.reception.streamPath
        return Application(
            router: router,
            server: HTTPServerBuilder { [gate, ingest] responder in
                SwitchedChannel(http: HTTP1Channel(responder: responder, configuration: http)) {
                    StreamSwitch(gate: gate, loop: ingest, path: path)
                }
            },
            configuration: ApplicationConfiguration(
                address: .hostname(address.host, port: address.port), serverName: "edge-aggregator", backlog: 1024,
                availableConnectionsDelegate: MaximumAvailableConnections(settings.box.mostConnections)),
            onServerRunning: { channel in listening?.note(channel.localAddress?.port ?? address.port) },
            logger: logger)
    }
}

/// Tells once all servers listen, and on which ports.
final class ListeningAddresses: Sendable {
    private let ports = Mutex<[Int]>([])
    private let count: Int
    private let onReady: @Sendable ([Int]) -> Void

    init(count: Int, onReady: @escaping @Sendable ([Int]) -> Void) {
        self.count = count
        self.onReady = onReady
    }

    var firstPort: Int? { ports.withLock { $0.first } }

    func note(_ port: Int) {
        let all = ports.withLock { ports in
            ports.append(port)
            return ports
        }
        if all.count == count { onReady(all) }
    }
}

/// Ends the endless: the last service in the group, so the first to hear of the end.
struct ShutdownAnnouncer: Service {
    let house: ReceptionHouse

    func run() async throws {
        try? await gracefulShutdown()
        house.registry.shutDown()
        house.events.finish()
        // The sessions close their recordings while the servers wait for their connections to end.
    }
}
