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
    private let recovery: Recovery
    private let season: SeasonService?
    private let mode: StartGuard.Mode
    private let pace = AnalysisPace()
    private let identity: ServerIdentity?
    private let manager: ServiceManager
    private let reloads: ReloadStatus
    let keeper: Doorkeeper

    /// - Parameter apiToken: what the API asks for, where the settings name none.
    init(
        settings: Settings, logger: Logger, time: any TimeSource = TimeService(), mode: StartGuard.Mode = .normal,
        apiToken: String = "", manager: ServiceManager = ServiceManager()
    ) throws {
        self.mode = mode
        self.manager = manager
        keeper = Doorkeeper(
            Doorkeeper.Rules(
                listeners: ListenerAdmission(
                    allowed: settings.reception.allowed, tokens: settings.reception.tokens),
                apiToken: settings.box.apiToken.isEmpty ? apiToken : settings.box.apiToken,
                hosts: settings.access.hosts))
        identity = try settings.access.tls.map { try ServerIdentity($0) }
        reloads = ReloadStatus(loadedNanoseconds: time.now().utcNanoseconds)
        self.settings = settings
        self.logger = logger
        let folders = [settings.box.baseFolder, settings.recordings.folder, settings.recordings.spoolFolder]
        // Before anything is written: nothing can be, on a disk that is quite full.
        let startReserve = StartReserve(baseFolder: settings.box.baseFolder, logger: logger)
        startReserve.releaseIfNeeded()
        for folder in folders {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
        let storageMetrics = StorageMetrics()
        let disk = DiskGuard(settings, metrics: storageMetrics, logger: logger)
        var options = Store.Options()
        options.commitIntervalMilliseconds = settings.box.commitIntervalMilliseconds
        options.deliveries = DeliveryHouse.plan(settings, isClockHeld: settings.deliveries.clockWaitSeconds > 0)
        let databaseFile = "\(settings.box.baseFolder)/edge.db"
        let databasePermit = disk.permit(for: .database, at: databaseFile)
        options.room = StoreRoom(mayGrow: { databasePermit.mayWrite }, free: { startReserve.releasePart() })
        options.mayGiveUpUnreadable = true
        let store = try Store(path: databaseFile, options: options)
        if let damaged = store.damagedCopy {
            logger.error(
                "The database was damaged: it was put aside and a new one begun; recordings on disk are taken up again",
                metadata: ["aside": "\(damaged)"])
        }
        for notice in store.notices { logger.warning("Of the database: \(notice)") }
        runs = try Self.countStart(store, bootID: time.now().bootID, logger)
        recovery = Recovery(
            store: store, recordingsFolder: settings.recordings.folder, spoolFolder: settings.recordings.spoolFolder,
            minimumNanoseconds: Int64(settings.recordings.minimumSeconds * 1e9), isAnalysisOn: settings.analysis.isOn,
            salvagePermit: disk.recordings,
            time: time, logger: logger
        )
        _ = try recovery.run()

        let events = EventHub()
        let analysisMetrics = AnalysisMetrics()
        let registry = ListenerRegistry(
            limits: ListenerRegistry.Limits(
                listeners: settings.reception.mostListeners,
                connectionsPerListener: settings.reception.mostConnectionsPerListener,
                connectionsPerAddress: settings.reception.maximumConnectionsPerAddress,
                idleSeconds: settings.reception.idleTimeoutSeconds),
            firstCounter: try store.highestSessionCounterBlocking(bootID: time.now().bootID), time: time, logger: logger
        )
        (analysis, season) =
            mode == .safe
            ? (nil, nil)
            : try AnalysisAssembly(
                settings: settings, store: store, disk: disk, events: events, time: time, metrics: analysisMetrics,
                pace: pace,
                logger: logger
            ).make()
        house = ReceptionHouse(
            configuration: try ReceptionHouse.Configuration(settings: settings, mode: mode),
            executor: IngestExecutor(threads: settings.recordings.threads),
            decoding: DecodingService(limits: settings.reception.uploadLimits), registry: registry,
            addresses: AddressBudgets(
                limits: settings.reception.addressLimits,
                knownListeners: Set(try store.knownListenersBlocking().compactMap { ListenerID($0) })),
            store: store,
            names: RecordingNames(
                isTaken: { [folder = settings.recordings.folder] name in
                    RecordingNames.isTaken(name, store: store, folder: folder)
                }, latestSecond: { RecordingNames.latestSecond(of: $0, store: store) },
                isOnDisk: { [folder = settings.recordings.folder] in RecordingNames.isOnDisk($0, folder: folder) }),
            keeper: SegmentKeeper(
                syncIntervalMilliseconds: settings.recordings.syncIntervalMilliseconds, metrics: storageMetrics,
                logger: logger),
            storageGuard: disk, analysis: analysis, events: events, time: time, metrics: ReceptionMetrics(),
            logger: logger)
        retention = RetentionService(
            limits: RetentionService.Limits(
                keep: settings.recordings.keep, ageNanoseconds: Int64(settings.recordings.mostAgeDays * 86_400e9),
                bytes: Int64(settings.recordings.mostBytes)),
            house: house, startReserve: startReserve, interval: .seconds(5))
        let directory = DeviceDirectory(house: house)
        deliveries = try DeliveryHouse(
            settings: settings, store: store, time: time, logger: logger, devices: { await directory.devices() },
            existing: { await directory.existing() })
        gate = StreamGate(house: house, keeper: keeper, proxies: settings.access.trustedProxies)
        ingest = try IngestLoop(
            house: house, threads: settings.recordings.threads,
            quotaBytesPerSecond: settings.reception.quotaBytesPerSecond)
        outputs = OutputService(settings.outputs, store: store, logger: logger)
        sensors = try SensorService(settings.sensors, outputs: outputs, store: store, time: time, logger: logger)
        cards = settings.soundCards.map { [house] in SoundCardService($0, house: house) }
        field = try FieldAssembly(
            settings.nodes, store: store, time: time, events: events, disk: disk, logger: logger)
        forecasts = try ForecastAssembly(settings, store: store, time: time, disk: disk, logger: logger)
        routes = Routes(
            settings: settings, house: house, gate: gate, deliveries: deliveries, sensors: sensors,
            outputs: outputs, cards: cards, field: field, forecasts: forecasts,
            snapshot: StatusSnapshot(
                boxName: settings.box.uuid, house: house, sinks: deliveries.statuses, storage: storageMetrics,
                analysisMetrics: analysisMetrics, started: time.now(), mode: mode, pace: pace,
                recovery: recovery.metrics, startReserve: startReserve, reloads: reloads))
    }

    /// A start on a full disk is not counted: receiving, and removing recordings, matters more.
    private static func countStart(_ store: Store, bootID: String, _ logger: Logger) throws(StoreError) -> RunCounts {
        do {
            return try store.beginRunBlocking(bootID: bootID)
        } catch {
            guard error.code == .diskFull else { throw error }
            logger.error("The database has no room: this start is not counted", metadata: ["error": "\(error)"])
            return .unknown
        }
    }

    /// Runs until a signal ends it; every recording is closed by then.
    ///
    /// - Parameter others: services that run as long.
    func run(
        beside others: [any Service] = [], onReady: @escaping @Sendable ([Int]) -> Void = { _ in }
    ) async throws {
        analysis?.start()
        let count = settings.box.addresses.count + settings.access.tlsAddresses.count
        let listening = ListeningAddresses(count: count) { [manager, mode] ports in
            manager.ready(mode == .safe ? "Safe mode: receiving and storing only" : "Receiving")
            onReady(ports)
        }
        let router = routes.router()
        var services: [any Service] =
            others + [house.registry, retention, RecoveryService(recovery: recovery)]
        if let season { services.append(season) }
        if settings.box.healthIntervalSeconds > 0 {
            services.append(
                BoardRecorder(
                    store: house.store, time: house.time, diskPath: settings.box.baseFolder, runs: runs,
                    interval: .seconds(settings.box.healthIntervalSeconds)))
        }
        services += cards
        services += field.services
        if mode == .normal { services.append(forecasts.service) }
        services.append(
            Heartbeat(manager: manager, store: house.store, ingest: ingest, logger: logger))
        if analysis != nil, settings.appliance.boardWatchSeconds > 0 {
            services.append(
                BoardWatch(
                    limits: settings.appliance.boardLimits, pace: pace,
                    interval: .seconds(settings.appliance.boardWatchSeconds), logger: logger,
                    root: settings.appliance.sysfsRoot))
        }
        if !settings.appliance.updateLockPath.isEmpty {
            services.append(
                UpdateLock(
                    path: settings.appliance.updateLockPath, logger: logger,
                    isBusy: { [keeper = house.keeper] in
                        let state = keeper.statistics
                        return state.openSegments > 0 || state.finishing > 0
                    }))
        }
        services.append(
            ReloadService(
                settings: settings, keeper: keeper, identity: identity, status: reloads, time: house.time,
                logger: logger,
                load: { [file = settings.file] in try Settings(path: file) }))
        if !settings.outputs.isEmpty { services.append(outputs) }
        if !settings.sensors.isEmpty { services.append(sensors) }
        services.append(
            HistoryService(
                store: house.store, time: house.time,
                mostAgeNanoseconds: Int64(settings.box.mostHistoryDays * 86_400e9),
                mostBytes: Int64(settings.box.mostHistoryBytes), interval: .seconds(60), logger: logger))
        services.append(routes.metrics.tables)
        services += deliveries.services(settings, house: house, metrics: routes.metrics, mode: mode)
        for address in settings.box.addresses {
            services.append(server(router, address, listening))
        }
        if let identity {
            for address in settings.access.tlsAddresses {
                services.append(encryptedServer(router, address, identity, listening))
            }
        }
        if settings.box.metricsPort > 0, let first = settings.box.addresses.first {
            let address = BoxSettings.Address(host: first.host, port: settings.box.metricsPort)
            services.append(metricsServer(routes.metricsRouter(), address))
        }
        let mock = MockGenerator(
            listeners: settings.reception.mockListeners, port: { listening.firstPort },
            path: settings.reception.streamPath, token: settings.reception.tokens, logger: logger)
        if settings.reception.mockListeners > 0 { services.append(mock) }
        services.append(ingest)
        services.append(ShutdownAnnouncer(house: house, manager: manager))
        var configuration = ServiceGroupConfiguration(
            services: services, gracefulShutdownSignals: [.sigterm, .sigint],
            logger: Logger(label: logger.label) { [handler = logger.handler] _ in ServiceNames(handler) })
        configuration.maximumGracefulShutdownDuration = .seconds(settings.box.shutdownTimeoutSeconds)
        // The first, and so the last to end: what it throws ends the others as a signal would.
        configuration.services.insert(
            ServiceGroupConfiguration.ServiceConfiguration(
                service: StoreHealth(
                    store: house.store,
                    folders: [settings.recordings.folder, settings.recordings.spoolFolder, settings.box.baseFolder],
                    soundSyncs: { [keeper = house.keeper] in
                        let statistics = keeper.statistics
                        return (statistics.syncs, statistics.syncFailures)
                    }, shutdownSeconds: settings.box.shutdownTimeoutSeconds, logger: logger),
                failureTerminationBehavior: .gracefullyShutdownGroup, serviceName: "StoreHealth"), at: 0)
        let group = ServiceGroup(configuration: configuration)
        let outcome: Result<Void, any Error>
        do {
            try await group.run()
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        ingest.stop()
        house.decoding.stop()
        house.keeper.stop()
        analysis?.stop()
        deliveries.stop()
        field.stop()
        forecasts.house.stop()
        if case .success = outcome { house.store.endRunBlocking() }
        if case .failure(let error as CannotContinue) = outcome {
            error.endStore(house.store, logger)
        } else {
            house.store.close()
        }
        try outcome.get()
    }

    private var http: @Sendable (@escaping HTTPChannelHandler.Responder) -> EdgeHTTPChannel {
        let configuration = HTTP1Channel.Configuration(
            idleTimeout: .seconds(Int64(max(240, settings.reception.idleTimeoutSeconds + 60))))
        let maximumBytes = settings.access.maximumDiscardedBodyBytes
        return { responder in
            EdgeHTTPChannel(
                http: HTTP1Channel(responder: responder, configuration: configuration),
                maximumDiscardedBytes: maximumBytes)
        }
    }

    private func encryptedServer(
        _ router: Router<EdgeContext>, _ address: BoxSettings.Address, _ identity: ServerIdentity,
        _ listening: ListeningAddresses
    ) -> some Service {
        Application(
            router: router,
            server: HTTPServerBuilder { [http] responder in
                EncryptedChannel(http: http(responder), identity: identity)
            }, configuration: configuration(address),
            // Reported after the plain addresses, which the greeting names.
            onServerRunning: { channel in
                listening.note(channel.localAddress?.port ?? address.port, isEncrypted: true)
            }, logger: logger)
    }

    private func configuration(_ address: BoxSettings.Address) -> ApplicationConfiguration {
        ApplicationConfiguration(
            address: .hostname(address.host, port: address.port), serverName: "edge-aggregator", backlog: 1024,
            availableConnectionsDelegate: MaximumAvailableConnections(settings.box.mostConnections))
    }

    /// A server that hands streams over to the ingest threads, unless they are switched off.
    private func server(
        _ router: Router<EdgeContext>, _ address: BoxSettings.Address, _ listening: ListeningAddresses
    ) -> some Service {
        let path = settings.access.stockPaths.contains(.recordings) ? settings.reception.streamPath : nil
        return Application(
            router: router,
            server: HTTPServerBuilder { [gate, ingest, http] responder in
                SwitchedChannel(http: http(responder)) {
                    path.map { StreamSwitch(gate: gate, loop: ingest, path: $0) }
                }
            },
            configuration: configuration(address),
            onServerRunning: { channel in listening.note(channel.localAddress?.port ?? address.port) },
            logger: logger)
    }

    private func metricsServer(_ router: Router<EdgeContext>, _ address: BoxSettings.Address) -> some Service {
        Application(
            router: router,
            server: HTTPServerBuilder(http),
            configuration: configuration(address), logger: logger)
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

    func note(_ port: Int, isEncrypted: Bool = false) {
        let all = ports.withLock { ports in
            if isEncrypted { ports.append(port) } else { ports.insert(port, at: 0) }
            return ports
        }
        if all.count == count { onReady(all) }
    }
}

/// Ends the endless: the last service in the group, so the first to hear of the end.
struct ShutdownAnnouncer: Service {
    let house: ReceptionHouse
    let manager: ServiceManager

    func run() async throws {
        try? await gracefulShutdown()
        manager.stopping()
        house.registry.shutDown()
        house.decoding.stop()
        house.events.finish()
        // The sessions close their recordings while the servers wait for their connections to end.
    }
}
