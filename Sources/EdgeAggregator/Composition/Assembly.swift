import AudioDSP
import Sensors

extension ReceptionHouse.Configuration {
    init(settings: Settings, mode: StartGuard.Mode) throws {
        guard let format = settings.reception.defaultFormat else {
            throw SettingsProblems(problems: [
                SettingsProblem(
                    place: "settings",
                    message: "audio_num_channels, audio_sample_rate and audio_bits_per_sample make no format")
            ])
        }
        self.init(
            session: ListenerSession.Configuration(
                defaultFormat: format, maximumGapFillFrames: settings.reception.mostGapFillFrames,
                maximumRecordingNanoseconds: Int64(settings.recordings.maximumSeconds) * 1_000_000_000,
                minimumRecordingNanoseconds: Int64(settings.recordings.minimumSeconds * 1e9)),
            container: settings.recordings.container, recordingsFolder: settings.recordings.folder,
            minimumRecordingNanoseconds: Int64(settings.recordings.minimumSeconds * 1e9),
            boxName: settings.box.uuid, beginnings: settings.reception.beginnings,
            isAnalysisDeferred: mode == .safe && settings.analysis.isOn)
    }
}

extension Routes {
    init(
        settings: Settings, house: ReceptionHouse, gate: StreamGate, deliveries: DeliveryHouse, sensors: SensorService,
        outputs: OutputService, cards: [SoundCardService], field: FieldAssembly, forecasts: ForecastAssembly,
        snapshot: StatusSnapshot
    ) {
        let refusals = RefusalHold(
            seconds: settings.reception.refusalHoldSeconds, most: settings.reception.mostHeldRefusals)
        let access = settings.access
        let requests = ClientRates(perMinute: access.requestsPerMinute, mostClients: access.mostClients)
        let failures = ClientRates(perMinute: access.loginFailuresPerMinute, mostClients: access.mostClients)
        self.init(
            stream: StreamRoute(
                gate: gate, refusals: refusals, quotaBytesPerSecond: settings.reception.quotaBytesPerSecond),
            upload: UploadRoute(
                house: house, keeper: gate.keeper, spoolFolder: settings.recordings.spoolFolder,
                mostBytes: Int64(settings.reception.mostUploadBytes)),
            listeners: ListenerResources(house: house, snapshot: snapshot),
            recordings: RecordingResources(
                house: house, isPrivacyOn: settings.analysis.isOn && settings.analysis.privacyThreshold < 1),
            detections: DetectionResources(store: house.store),
            observations: ObservationResources(store: house.store),
            sensors: SensorResources(service: sensors),
            outputs: OutputResources(service: outputs),
            cards: SoundCardResources(cards: cards),
            field: field,
            forecasts: forecasts,
            deliveries: DeliveryResources(store: house.store, statuses: deliveries.statuses, time: house.time),
            events: EventResource(events: house.events),
            dashboard: Dashboard(snapshot: snapshot),
            metrics: MetricsCollector(
                snapshot: snapshot, refusals: refusals, sensors: sensors, cards: cards, field: field,
                forecasts: forecasts, tables: TableSizes(store: house.store, logger: house.logger),
                rates: [requests, failures]),
            snapshot: snapshot,
            streamPath: settings.reception.streamPath, uploadPath: settings.reception.uploadPath,
            keeper: gate.keeper, access: settings.access, requests: requests, failures: failures)
    }
}
