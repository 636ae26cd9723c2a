import Logging
import Sensors
import ServiceLifecycle
import Store
import Uplink

/// The sinks that are set, and their workers.
struct DeliveryHouse: Sendable {
    let workers: [SinkWorker]
    private let transports: [CurlTransport]
    private let sealer: FileSealer?
    private let mqtt: MQTTSink?

    var statuses: [SinkStatus] { workers.map(\.status) }

    /// What is to be delivered where, known before the store is opened.
    static func plan(_ settings: Settings, isClockHeld: Bool) -> DeliveryPlan {
        let deliveries = settings.deliveries
        var sinks: [DeliveryKind: [String]] = [:]
        func add(_ kinds: [DeliveryKind], _ sink: String) {
            for kind in kinds { sinks[kind, default: []].append(sink) }
        }
        if deliveries.influx != nil {
            // Where no recordings are uploaded there is no news of uploads.
            add(
                InfluxSink.kinds(deliveries.influxTables).filter { $0 != .upload || deliveries.s3.recordings != nil },
                "influx")
        }
        if deliveries.prometheus != nil { add(PrometheusSink.kinds, "prometheus") }
        if deliveries.postgreSQL != nil { add(PostgreSQLSink.kinds, "postgres") }
        if deliveries.mqtt != nil { add([.detections, .observations], "mqtt") }
        for destination in deliveries.s3.destinations { add(destination.kinds, destination.sink) }
        return DeliveryPlan(
            sinks: sinks, holdsUnsynchronised: isClockHeld,
            sendsOnlyDetected: settings.recordings.keep == .detections,
            sendsUnheard: !settings.analysis.isOn || settings.analysis.privacyThreshold >= 1)
    }

    /// - Parameters:
    ///   - devices: what the broker is told of.
    ///   - existing: all devices; nil when they cannot be read now.
    init(
        settings: Settings, store: Store, time: any TimeSource, logger: Logger,
        devices: @escaping @Sendable () async -> [MQTTDevice],
        existing: @escaping @Sendable () async -> [MQTTDevice.Identity]?
    ) throws {
        let deliveries = settings.deliveries
        let uuid = settings.box.uuid
        if !Self.plan(settings, isClockHeld: false).sinks.isEmpty,
            settings.effective["aggregator_uuid"]?.source == "default"
        {
            logger.warning(
                "This box has no name of its own: what two such boxes deliver cannot be told apart. Set aggregator_uuid",
                metadata: ["aggregator_uuid": "\(uuid)"])
        }
        let transport = deliveries.influx != nil || deliveries.prometheus != nil ? try CurlTransport() : nil
        Self.moveDeliveries(deliveries.s3, store, logger)
        // Of their own: a disk that is slow to read a file from must not hold up small messages, nor one bucket the other.
        let buckets = try deliveries.s3.destinations.map { ($0, try CurlTransport()) }
        transports = [transport].compactMap(\.self) + buckets.map(\.1)
        sealer = deliveries.s3.recordings.map {
            FileSealer(
                configuration: $0, recordingsFolder: settings.recordings.folder, store: store, logger: logger)
        }
        var sinks: [any Sink] = []
        if let influx = deliveries.influx, let transport {
            let remotePrefix = deliveries.s3.remotePrefix
            sinks.append(
                InfluxSink(
                    configuration: influx, points: InfluxPoints(aggregator: uuid, tables: deliveries.influxTables),
                    remote: { S3Sink.key($0, prefix: remotePrefix, aggregator: uuid) }, store: store,
                    transport: transport))
        }
        for (destination, transport) in buckets {
            let others = buckets.map(\.0).filter { $0.sink != destination.sink }
            sinks.append(
                S3Sink(
                    name: destination.sink, kinds: destination.kinds, configuration: destination.configuration,
                    others: others.map(\.configuration), aggregator: uuid,
                    recordingsFolder: settings.recordings.folder, fieldsFolder: settings.forecasts.folder,
                    window: deliveries.uploadWindow, store: store, time: time, transport: transport))
        }
        if let prometheus = deliveries.prometheus, let transport {
            sinks.append(
                PrometheusSink(configuration: prometheus, aggregator: uuid, store: store, transport: transport))
        }
        mqtt = try deliveries.mqtt.map { configuration in
            try MQTTSink(
                configuration: configuration, prefix: deliveries.mqttPrefix, aggregator: uuid, version: Version.text,
                discoveryPrefix: deliveries.discoveryPrefix, store: store, logger: logger,
                devices: devices, existing: existing)
        }
        if let mqtt { sinks.append(mqtt) }
        if let url = deliveries.postgreSQL {
            sinks.append(PostgreSQLSink(url: url, aggregator: uuid, place: Self.place(settings), store: store))
        }
        workers = sinks.map {
            SinkWorker(sink: $0, store: store, time: time, policy: deliveries.retry, logger: logger)
        }
    }

    /// What waits for one of the two sinks with buckets is handed over to the other, where the settings have it carry that now.
    private static func moveDeliveries(_ s3: S3Settings, _ store: Store, _ logger: Logger) {
        for kind in S3Settings.fieldKinds {
            guard let sink = s3.sink(of: kind) else { continue }
            let other = sink == S3Settings.fieldsSink ? S3Settings.recordingsSink : S3Settings.fieldsSink
            do {
                guard try store.hasDeliveriesBlocking([kind], for: other) else { continue }
                try store.commitBlocking([.moveDeliveries([kind], from: other, to: sink)])
            } catch {
                logger.error(
                    "Files that wait for their upload could not be handed over; the next start tries again",
                    metadata: ["kind": "\(kind.rawValue)", "from": "\(other)", "to": "\(sink)", "error": "\(error)"])
            }
        }
    }

    /// Where a forecast field's file is: its key in the bucket where files are sent there, else its path on the box.
    private static func place(_ settings: Settings) -> @Sendable (DatasetRecord) -> String {
        guard let s3 = settings.deliveries.s3.fields else {
            return { [folder = settings.forecasts.folder] in "\(folder)/\($0.path)" }
        }
        return { [prefix = s3.prefix, uuid = settings.box.uuid] in
            S3Sink.key($0, prefix: prefix, aggregator: uuid)
        }
    }

    /// What runs beside reception for the sinks; the outbox is kept within its bounds also when no sink is set any more.
    ///
    /// In safe mode nothing is sent; what there is to send goes on gathering.
    func services(
        _ settings: Settings, house: ReceptionHouse, metrics: MetricsCollector, mode: StartGuard.Mode
    ) -> [any Service] {
        let deliveries = settings.deliveries
        let day = 86_400e9
        var bytes: [DeliveryKind: (most: Int64, setting: String)] = [
            .metrics: (Int64(deliveries.mostMetricsBytes), "metrics_max_waiting_bytes")
        ]
        if deliveries.mostRecordingBytes > 0 {
            bytes[.recording] = (Int64(deliveries.mostRecordingBytes), "upload_max_waiting_bytes")
        }
        var ages: [DeliveryKind: Int64] = [.recording: Int64(deliveries.mostRecordingAgeDays * day)]
        if deliveries.mostObservationAgeDays > 0 {
            ages[.observations] = Int64(deliveries.mostObservationAgeDays * day)
        }
        if deliveries.mostMetricsAgeDays > 0 { ages[.metrics] = Int64(deliveries.mostMetricsAgeDays * day) }
        let caps = OutboxCaps(
            limits: OutboxCaps.Limits(
                ageNanoseconds: Int64(deliveries.mostAgeDays * day), ageOfKind: ages, rows: deliveries.mostRows,
                bytes: bytes),
            storage: house.storageGuard, reserveBytes: Int64(settings.recordings.leastFreeBytes), store: house.store,
            time: house.time, interval: .seconds(30), logger: house.logger)
        let clock = ClockWatch(
            store: house.store, time: house.time, wait: .seconds(deliveries.clockWaitSeconds),
            hasSinks: !workers.isEmpty, logger: house.logger)
        guard mode == .normal else { return [clock, caps] }
        var services: [any Service] = workers
        services.append(clock)
        if let mqtt { services.append(mqtt) }
        if let sealer { services.append(sealer) }
        if deliveries.prometheus != nil {
            services.append(
                MetricsRecorder(
                    collector: metrics, store: house.store, time: house.time,
                    interval: .seconds(deliveries.metricsIntervalSeconds), logger: house.logger))
        }
        return services + [caps]
    }

    func stop() {
        for transport in transports { transport.stop() }
    }
}
