import AudioDSP
import Foundation
import Logging
import Sensors
import ServiceLifecycle
import Store

/// Puts the analysis together: library, model, labels and rules.
struct AnalysisAssembly {
    let settings: Settings
    let store: Store
    let disk: DiskGuard
    let events: EventHub
    let time: any TimeSource
    let metrics: AnalysisMetrics
    let pace: AnalysisPace
    let logger: Logger

    /// Nothing, when nothing is to be analysed.
    func make() throws -> (AnalysisService?, SeasonService?) {
        guard settings.analysis.isOn else { return (nil, nil) }
        let analysis = settings.analysis
        let library = try TensorFlowLiteLibrary(path: analysis.libraryPath)
        if library.version != BirdNET.libraryVersion {
            logger.warning(
                "The TensorFlow Lite library has another version than the one tried",
                metadata: ["version": "\(library.version)", "tried": "\(BirdNET.libraryVersion)"])
        }
        let labels = try LabelSet(path: analysis.labelsPath, translation: analysis.translationPath)
        let model = try BirdNETModel(library: library, path: analysis.modelPath)
        guard model.outputs == labels.entries.count else {
            throw ClassifierError(
                .labelsUnfit, path: analysis.labelsPath,
                reason: "\(labels.entries.count) labels, the model scores \(model.outputs) classes")
        }
        let policies = PolicyMaker(settings: analysis, labels: labels, library: library)
        let week = policies.week(at: time.now())
        let checksums = ChecksumCache(path: "\(settings.box.baseFolder)/checksums.json")
        let modelID = try store.modelID(
            name: (analysis.modelPath as NSString).lastPathComponent,
            modelSHA256: try checksums.sha256(of: analysis.modelPath), libraryVersion: library.version,
            librarySHA256: try checksums.sha256(of: analysis.libraryPath))
        let engine = DetectionEngine(
            model: model, labels: labels, gate: analysis.gate, policy: try policies.make(week: week), modelID: modelID)
        let service = AnalysisService(
            configuration: AnalysisService.Configuration(
                workers: analysis.workers, windowsPerListener: analysis.windowsPerListener, channel: analysis.channel,
                overlapSeconds: analysis.overlapSeconds, privacyThreshold: Float(analysis.privacyThreshold),
                recordingsFolder: settings.recordings.folder, processors: settings.appliance.analyzerProcessors,
                niceness: settings.appliance.analyzerNiceness),
            engine: engine, budget: WindowBudget(total: analysis.windowsTotal), store: store,
            redactor: Redactor(
                recordingsFolder: settings.recordings.folder, store: store, time: time,
                permit: disk.permit(for: .nodeData, at: settings.recordings.folder), logger: logger),
            events: events, time: time, metrics: metrics, pace: pace, logger: logger)
        let season = SeasonService(policies: policies, engine: engine, week: week, time: time, logger: logger)
        return (service, season)
    }
}

/// Makes the rules for a week of the year.
struct PolicyMaker: Sendable {
    let settings: AnalysisSettings
    let labels: LabelSet
    let library: TensorFlowLiteLibrary

    /// Of 48, by the settings or by the date.
    ///
    /// Memory: both values are this function's, and `gmtime_r` borrows them for the call; the zone's name in `parts` is not read.
    func week(at now: TimeStamp) -> Int {
        switch settings.week {
        case .fixed(let week): return week
        case .automatic:
            // Without a clock that is set no week is known.
            guard now.isSynchronised || now.utcNanoseconds > 1_767_225_600_000_000_000 else {
                return LocationFilter.allYear
            }
            var seconds = time_t(now.utcNanoseconds / 1_000_000_000)
            var parts = unsafe tm()
            unsafe gmtime_r(&seconds, &parts)
            let year = unsafe Int(parts.tm_year) + 1900
            let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
            return unsafe LocationFilter.week(dayOfYear: Int(parts.tm_yday) + 1, daysInYear: isLeap ? 366 : 365)
        }
    }

    func make(week: Int) throws -> DetectionPolicy {
        let inSeason = try settings.place.map { place in
            let filter = LocationFilter(library: library, path: settings.metaModelPath, outputs: labels.entries.count)
            return try filter.probabilities(latitude: place.latitude, longitude: place.longitude, week: week)
                .map { $0 >= Float(settings.locationThreshold) }
        }
        return DetectionPolicy(
            labels: labels, sensitivity: Sensitivity(settings.sensitivity),
            minimumConfidence: Float(settings.minimumConfidence), inSeason: inSeason, include: settings.include,
            exclude: settings.exclude)
    }
}

/// Takes new rules when the week changes.
struct SeasonService: Service {
    let policies: PolicyMaker
    let engine: DetectionEngine
    let week: Int
    let time: any TimeSource
    let logger: Logger

    func run() async throws {
        var week = week
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: .seconds(60)) }
            let now = policies.week(at: time.now())
            guard now != week, policies.settings.place != nil else { continue }
            do {
                engine.use(try policies.make(week: now))
                week = now
                logger.info("The species expected here are those of another week now", metadata: ["week": "\(week)"])
            } catch {
                logger.error("The species of the week could not be found out", metadata: ["error": "\(error)"])
            }
        }
    }
}
