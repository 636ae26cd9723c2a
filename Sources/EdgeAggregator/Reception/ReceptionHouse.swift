import AudioDSP
import Foundation
import Logging
import Sensors
import Store

/// What all sessions share.
final class ReceptionHouse: Sendable {
    struct Configuration: Sendable {
        var session: ListenerSession.Configuration
        var container: RecordingContainer
        var recordingsFolder: String
        var minimumRecordingNanoseconds: Int64
        var boxName: String
        /// Of one connection.
        var beginnings = BeginningBudget.Limits()
        /// What is to become of a recording that no analysis is there for: whether it waits for one.
        var isAnalysisDeferred = false
    }

    let configuration: Configuration
    var boxName: String { configuration.boxName }
    let executor: IngestExecutor
    let decoding: DecodingService
    let registry: ListenerRegistry
    let addresses: AddressBudgets
    let store: Store
    let names: RecordingNames
    let keeper: SegmentKeeper
    let storageGuard: DiskGuard
    /// Nil when nothing is analysed.
    let analysis: AnalysisService?
    let events: EventHub
    let time: any TimeSource
    let metrics: ReceptionMetrics
    let logger: Logger

    /// The state in which a recording's analysis begins.
    var firstAnalysisState: String { analysis != nil || configuration.isAnalysisDeferred ? "pending" : "skipped" }

    init(
        configuration: Configuration, executor: IngestExecutor, decoding: DecodingService,
        registry: ListenerRegistry, addresses: AddressBudgets, store: Store,
        names: RecordingNames, keeper: SegmentKeeper, storageGuard: DiskGuard, analysis: AnalysisService?,
        events: EventHub, time: any TimeSource, metrics: ReceptionMetrics, logger: Logger
    ) {
        self.configuration = configuration
        self.executor = executor
        self.decoding = decoding
        self.registry = registry
        self.addresses = addresses
        self.store = store
        self.names = names
        self.keeper = keeper
        self.storageGuard = storageGuard
        self.analysis = analysis
        self.events = events
        self.time = time
        self.metrics = metrics
        self.logger = logger
    }

    /// Handles an error of a recording's file: the box is not ready until its folder can be written, or there is room again.
    func noteSoundFailure(_ error: SegmentError) {
        storageGuard.note(error)
        guard error.code != .diskFull else { return }
        store.outcomes.failed(
            at: .folder((error.path as NSString).deletingLastPathComponent), .disk, reason: "\(error)")
    }
}
