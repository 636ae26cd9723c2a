import Foundation
import Sensors
import Store
import Uplink

/// The state of the whole box in one answer.
struct StatusSnapshot: Sendable {
    let boxName: String
    let house: ReceptionHouse
    let sinks: [SinkStatus]
    let storage: StorageMetrics
    let analysisMetrics: AnalysisMetrics
    let started: TimeStamp
    let mode: StartGuard.Mode
    let pace: AnalysisPace
    let recovery: RecoveryMetrics
    let startReserve: StartReserve
    let reloads: ReloadStatus

    struct Status: Codable, Sendable {
        struct Listeners: Codable, Sendable {
            var connected: Int
            var connections: Int
            var bytesReceived: Int64
        }
        struct Queues: Codable, Sendable {
            var windowsWaiting: Int
            var backlogRecordings: Int
            var storeChanges: Int
            var recordingsOpen: Int
            var recordingsFinishing: Int
        }
        struct Analysis: Codable, Sendable {
            var isOn: Bool
            var isReady: Bool
            var windows: Int64
            var windowsGated: Int64
            var windowsSpilled: Int64
            var windowsWithVoice: Int64
            var detections: Int64
            var failures: Int64
            /// How far behind: the age of the oldest recording that waits for its analysis, or else what the listeners' last windows took
            /// from their last sample to their detections in the store, the longest of them.
            var lagSeconds: Double?
            var meanInferenceSeconds: Double?
            /// Share of the time that it may work, to spare the board.
            var pacePercent: Int
        }
        struct Disk: Codable, Sendable {
            var freeBytes: Int64
            var totalBytes: Int64
            var recordings: Int
            var recordingBytes: Int64
            var databaseBytes: Int64
            var isSoundKept: Bool
            var lastSyncSeconds: Double
            var syncFailures: Int
        }
        struct Loss: Codable, Sendable {
            var listener: String
            var heardSeconds: Double
            var filledSeconds: Double
            var gapSeconds: Double
            var lossSeconds: Double
        }
        struct LoadedSettings: Codable, Sendable {
            /// When those in force were read.
            var loadedAt: String
            /// The last attempt to take over changed ones, if it was rejected; those of before are in force then.
            var rejectedAt: String?
            var rejectedReason: String?

            init(_ reloads: ReloadStatus.Snapshot) {
                loadedAt = ISOTime.text(reloads.loadedNanoseconds)
                rejectedAt = reloads.rejection.map { ISOTime.text($0.nanoseconds) }
                rejectedReason = reloads.rejection?.reason
            }
        }
        var box: String
        var version: String
        var startedAt: String
        var uptimeSeconds: Double
        var now: String
        var isClockSynchronised: Bool
        var isReady: Bool
        var reasons: [String]
        /// normal, or safe: sound is received and kept, and all else waits.
        var mode: String
        var settings: LoadedSettings
        var listeners: Listeners
        var queues: Queues
        var analysis: Analysis
        var disk: Disk
        /// Of the last 24 hours.
        var loss: [Loss]
        var sinks: [SinkReading]
    }

    /// A commit that takes longer than this has not come to its end.
    private static let longestStuck = Duration.seconds(20)

    /// Why sound cannot be received or analysed now; empty if it can.
    var unreadyReasons: [String] {
        var reasons: [String] = []
        if house.registry.isShuttingDown { reasons.append("the daemon is ending") }
        if !house.storageGuard.mayKeepSound { reasons.append("the disk is full: sound is not kept") }
        let store = house.store.statistics
        reasons += store.outcomes.snapshot.reasons
        if store.isOverloaded { reasons.append("so many changes wait for the database that no more are taken") }
        if house.store.stuck > Self.longestStuck {
            reasons.append("the disk has not answered for \(Int(house.store.stuck.seconds)) s")
        }
        if let analysis = house.analysis, !analysis.isReady { reasons.append("no analysis worker has started") }
        return reasons
    }

    /// How far behind the analysis is with each listener.
    func lagSeconds() async throws -> [String: Double] {
        guard let analysis = house.analysis else { return [:] }
        let now = house.time.now().utcNanoseconds
        let waiting = try await house.store.oldestPendingAnalysis().mapValues { Double(max(0, now - $0)) / 1e9 }
        return analysis.lagSeconds.merging(waiting, uniquingKeysWith: max)
    }

    func take() async throws -> Status {
        let now = house.time.now()
        let connections = house.registry.connections
        let keeper = house.keeper.statistics
        let store = house.store.statistics
        let queues = house.analysis?.queueLengths ?? (live: 0, backlog: 0)
        let totals = try await house.store.recordingTotals()
        let space = house.storageGuard.space
        let reasons = unreadyReasons
        let lags = try await lagSeconds()
        let day: Int64 = 86_400_000_000_000
        let coverage = try await house.store.coverage(
            fromNanoseconds: now.utcNanoseconds - day, toNanoseconds: now.utcNanoseconds + day)
        return Status(
            box: boxName, version: Version.text, startedAt: ISOTime.text(started.utcNanoseconds),
            uptimeSeconds: Double(now.monotonicNanoseconds - started.monotonicNanoseconds) / 1e9,
            now: ISOTime.text(now.utcNanoseconds), isClockSynchronised: now.isSynchronised, isReady: reasons.isEmpty,
            reasons: reasons, mode: mode == .safe ? "safe" : "normal",
            settings: Status.LoadedSettings(reloads.snapshot),
            listeners: Status.Listeners(
                connected: Set(connections.map(\.listener)).count, connections: connections.count,
                bytesReceived: house.metrics.bytes.total),
            queues: Status.Queues(
                windowsWaiting: queues.live, backlogRecordings: try await house.store.pendingAnalysisCount(),
                storeChanges: store.queuedChanges, recordingsOpen: keeper.openSegments,
                recordingsFinishing: keeper.finishing),
            analysis: Status.Analysis(
                isOn: house.analysis != nil, isReady: house.analysis?.isReady ?? false,
                windows: analysisMetrics.windows.total, windowsGated: analysisMetrics.windowsGated.total,
                windowsSpilled: analysisMetrics.windowsSpilled.total,
                windowsWithVoice: analysisMetrics.privacyWindows.total, detections: analysisMetrics.detections.total,
                failures: analysisMetrics.failures.total, lagSeconds: lags.values.max(),
                meanInferenceSeconds: analysisMetrics.inferenceSeconds.mean, pacePercent: pace.percent),
            disk: Status.Disk(
                freeBytes: space.freeBytes, totalBytes: space.totalBytes, recordings: totals.count,
                recordingBytes: totals.bytes, databaseBytes: store.databaseBytes + store.journalBytes,
                isSoundKept: house.storageGuard.mayKeepSound, lastSyncSeconds: keeper.lastSyncSeconds,
                syncFailures: keeper.syncFailures),
            loss: coverage.map { coverage in
                Status.Loss(
                    listener: coverage.listenerID, heardSeconds: Double(coverage.heardNanoseconds) / 1e9,
                    filledSeconds: Double(coverage.filledNanoseconds) / 1e9,
                    gapSeconds: Double(coverage.gaps.values.reduce(0, +)) / 1e9,
                    lossSeconds: Double(coverage.losses.values.reduce(0, +)) / 1e9)
            }, sinks: try await SinkReading.all(sinks, store: house.store, now: now))
    }
}

extension Histogram {
    /// Nil before the first value.
    var mean: Double? {
        let snapshot = snapshot
        guard let count = snapshot.cumulative.last, count > 0 else { return nil }
        return snapshot.sum / Double(count)
    }
}
