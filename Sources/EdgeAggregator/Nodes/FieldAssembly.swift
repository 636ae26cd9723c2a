import FieldNodes
import Logging
import Sensors
import ServiceLifecycle
import Store
import Uplink

/// Everything that deals with nodes of the field, put together.
struct FieldAssembly: Sendable {
    let house: NodeHouse
    let co2: CO2Routes
    let pages: CO2Pages
    let isems: ISEMSRoutes
    let piwardrive: PiWardriveRoutes
    let resources: NodeResources
    let subscriber: MQTTSubscriber?
    let services: [any Service]
    private let transport: CurlTransport?

    init(
        _ settings: NodeSettings, store: Store, time: any TimeSource, events: EventHub, disk: DiskGuard, logger: Logger
    ) throws {
        let units = FolderFiles.names(in: settings.co2.dataFolder) { failure in
            logger.warning("The CO2 units' folders cannot be listed", metadata: ["error": "\(failure.text)"])
        }
        let registry = try NodeRegistry(
            settings.admission, limits: settings.limits, store: store, unitsWithFiles: Set(units))
        house = NodeHouse(
            store: store, time: time, registry: registry, metrics: NodeMetrics(), events: events,
            executor: IngestExecutor(threads: 2, name: "nodes"), logger: logger)
        let depot = CO2Depot(
            folder: settings.co2.dataFolder, limits: settings.co2.limits,
            permit: disk.permit(for: .nodeData, at: settings.co2.dataFolder),
            fellows: { [registry] unit in registry.fellows(of: unit) }, report: { logger.notice("\($0)") },
            begunAnew: { [store] unit, path in
                try store.commitBlocking([.nodeFileAnew(unit.key, path: path.text)])
            })
        let reader = CO2Reader(house: house, depot: depot)
        let shelf = UpdateShelf(
            dataFolder: settings.co2.dataFolder, permit: disk.permit(for: .nodeData, at: settings.co2.dataFolder))
        co2 = CO2Routes(
            house: house, depot: depot, reader: reader, shelf: shelf,
            pings: PingLog(
                folder: settings.co2.pingFolder, permit: disk.permit(for: .nodeData, at: settings.co2.pingFolder)),
            mostPushBytes: settings.co2.mostPushBytes)
        pages = CO2Pages(
            store: store, time: time, tiersFile: settings.co2.tiersFile, executor: house.executor,
            files: PublicFiles(folder: settings.co2.publicFolder, executor: house.executor))

        let intake = ISEMSIntake(house: house, mustMatch: settings.isems.mustMatchTopic)
        let text = MeasurementText(timestamps: settings.isems.timestamps)
        isems = ISEMSRoutes(
            intake: intake, latest: LatestMeasurements(store: store, text: text), text: text,
            hideAfterDays: settings.isems.hideAfterDays, mostBodyBytes: settings.isems.mostBodyBytes)
        subscriber = try settings.isems.broker.map { try ISEMSSubscription.make($0, intake: intake) }
        transport = settings.isems.addresses.isEmpty ? nil : try CurlTransport()

        let spool = try UploadSpool(
            folder: settings.piwardrive.spoolFolder, mostBytes: settings.piwardrive.mostSpoolBytes,
            permit: disk.permit(for: .nodeData, at: settings.piwardrive.spoolFolder))
        let overlay = OverlayHouse(store: store)
        let merger = UnitMerger(
            house: house, spool: spool, overlay: overlay, settings: settings.piwardrive,
            permit: disk.permit(for: .nodeData, at: settings.piwardrive.uploadsFolder))
        piwardrive = PiWardriveRoutes(
            house: house, spool: spool, merger: merger, overlay: overlay,
            mostUploadBytes: settings.piwardrive.mostUploadBytes)

        let watch = SilentNodeWatch(house: house, silentAfterSeconds: settings.silentAfterSeconds)
        resources = NodeResources(house: house, shelf: shelf, groups: settings.co2.groups, watch: watch)
        var services: [any Service] = [reader, merger, watch, house.contacts]
        if let subscriber { services.append(subscriber) }
        if let transport {
            services.append(
                ISEMSPoller(
                    intake: intake, transport: transport, addresses: settings.isems.addresses,
                    interval: .seconds(settings.isems.pollIntervalSeconds),
                    timeoutSeconds: settings.isems.pollTimeoutSeconds, concurrency: settings.isems.pollConcurrency))
        }
        self.services = services
    }

    func stop() {
        house.executor.stop()
        transport?.stop()
    }
}
