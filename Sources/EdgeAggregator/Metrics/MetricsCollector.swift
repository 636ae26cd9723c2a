import AudioDSP
import CEdgeSystem
import Foundation
import Hummingbird
import Sensors
import Store
import TextParts
import Uplink

/// Makes the page of `/metrics`: the names of the former system with their meaning put right, and ours.
struct MetricsCollector: Sendable {
    let snapshot: StatusSnapshot
    let refusals: RefusalHold
    let sensors: SensorService
    let cards: [SoundCardService]
    let field: FieldAssembly
    let forecasts: ForecastAssembly
    let tables: TableSizes
    /// Of requests and of wrong tokens.
    let rates: [ClientRates]

    /// At most so many listeners have metrics of their own.
    static let mostListeners = 1000

    @Sendable
    func answer(_ request: Request, _ context: EdgeContext) async throws -> Response {
        Answer.text(try await page(), type: "text/plain; version=0.0.4; charset=utf-8")
    }

    func page() async throws -> String {
        let status = try await snapshot.take()
        var page = MetricsPage()
        addFormer(&page, status, try await snapshot.house.store.deliveryTotals())
        addReception(&page, status)
        addAnalysis(&page, status)
        addStorage(&page, status)
        addTables(&page)
        addDeliveries(&page, status)
        addListeners(&page, lags: try await snapshot.lagSeconds())
        addSensors(&page)
        addSoundCards(&page)
        addNodes(&page)
        try await addForecasts(&page)
        addProcess(&page)
        NodeFigures.add(to: &page)
        return page.text
    }

    /// The former exporter counted failures and dead letters as processed; here a job counts once it has succeeded.
    private func addFormer(_ page: inout MetricsPage, _ status: StatusSnapshot.Status, _ totals: [DeliveryTotal]) {
        page.single(
            "analyze_queue_length", "gauge", "Recordings that wait for analysis.",
            Double(status.queues.backlogRecordings))
        func waiting(_ kinds: [DeliveryKind]) -> Double {
            let names = kinds.map(\.rawValue)
            return Double(
                status.sinks.flatMap(\.waiting).filter { names.contains($0.kind) && $0.state != "refused" }
                    .reduce(0) { $0 + $1.deliveries })
        }
        page.single("upload_queue_length", "gauge", "Recordings that wait to be delivered.", waiting([.recording]))
        page.single(
            "publish_analysis_queue_length", "gauge", "Analyses and detections that wait to be delivered.",
            waiting([.analysis, .detections]))
        page.single(
            "publish_upload_queue_length", "gauge", "Reports of deliveries that wait to be delivered.",
            waiting([.upload]))
        // Since the beginning, so that they do not fall back when the daemon starts again.
        func done(_ kinds: [DeliveryKind]) -> Double {
            Double(totals.filter { kinds.contains($0.kind) }.reduce(0) { $0 + $1.done })
        }
        let analysed = Double(snapshot.analysisMetrics.recordingsAnalysed.total)
        page.single("analyze_jobs_processed_total", "counter", "Recordings analysed.", analysed)
        page.single("upload_jobs_processed_total", "counter", "Recordings delivered.", done([.recording]))
        page.single("publish_analysis_jobs_processed_total", "counter", "Analyses delivered.", done([.analysis]))
        page.single(
            "publish_upload_jobs_processed_total", "counter", "Reports of deliveries delivered.", done([.upload]))
        // One daemon does what the former programs did: 1 RUNNING, 2 STARTING, 4 STOPPED.
        page.family("supervisor_process_state", "gauge", "State of a part: 1 running, 2 starting, 4 stopped.")
        let house = snapshot.house
        func runs(_ sink: String) -> Double { snapshot.sinks.contains { $0.name == sink } ? 1 : 4 }
        let analyzer: Double = house.analysis == nil ? 4 : status.analysis.isReady ? 1 : 2
        let programs: [(String, Double)] = [
            ("analyzer_00", analyzer), ("receiver_http", house.registry.isShuttingDown ? 4 : 1), ("cleanup", 1),
            ("metrics_publisher", 1), ("uploader", runs("s3")), ("publisher", runs("influx")),
        ]
        for (program, state) in programs {
            page.sample("supervisor_process_state", [("program", program)], state)
        }
        page.family("supervisor_process_exitcode", "gauge", "Exit code of a part that does not run.")
        for (program, state) in programs where state == 4 {
            page.sample("supervisor_process_exitcode", [("program", program)], 0)
        }
    }

    private func addReception(_ page: inout MetricsPage, _ status: StatusSnapshot.Status) {
        let prefix = "edge_aggregator_"
        let metrics = snapshot.house.metrics
        page.family("\(prefix)info", "gauge", "What runs here.")
        page.sample("\(prefix)info", [("version", status.version), ("aggregator_uuid", status.box)], 1)
        page.single("\(prefix)ready", "gauge", "1 if sound can be received, kept and analysed.", status.isReady ? 1 : 0)
        page.single(
            "\(prefix)safe_mode", "gauge", "1 if after bad starts only reception and storage run.",
            status.mode == "safe" ? 1 : 0)
        page.single(
            "\(prefix)analysis_pace_ratio", "gauge",
            "Share of the time that the analysis may work, to spare the board.",
            Double(status.analysis.pacePercent) / 100)
        page.single(
            "\(prefix)api_refused_total", "counter", "Requests and wrong tokens beyond a client's rate.",
            Double(rates.reduce(0) { $0 + $1.refused }))
        page.single(
            "\(prefix)api_clients", "gauge", "Clients whose requests are counted.",
            Double(rates.map(\.knownClients).max() ?? 0))
        page.single(
            "\(prefix)clock_synchronised", "gauge", "1 if the box knows the time.", status.isClockSynchronised ? 1 : 0)
        page.single("\(prefix)listeners", "gauge", "Connected listeners.", Double(status.listeners.connected))
        page.single(
            "\(prefix)listener_addresses", "gauge", "Network addresses whose limits are counted.",
            Double(snapshot.house.addresses.knownAddresses))
        page.single("\(prefix)connections", "gauge", "Connections of listeners.", Double(status.listeners.connections))
        page.single(
            "\(prefix)uploads_decoding", "gauge", "Uploads that are decoded before they are acknowledged.",
            Double(snapshot.house.decoding.count))
        for (name, help, counter) in [
            ("received_bytes_total", "Bytes received in streams.", metrics.bytes),
            ("received_frames_total", "Wire frames received.", metrics.frames),
            ("missing_frames_total", "Wire frames that never came.", metrics.framesMissing),
            (
                "duplicate_frames_total", "Wire frames that came twice or too late, and were dropped.",
                metrics.framesDuplicate
            ),
            ("recordings_total", "Recordings begun.", metrics.recordings),
            ("recordings_too_short_total", "Recordings that were too short to be kept.", metrics.recordingsTooShort),
            ("uploads_total", "Files taken.", metrics.uploads),
            ("uploads_refused_total", "Files not taken.", metrics.uploadsRefused),
            ("streams_refused_total", "Streams not taken.", metrics.refused),
            (
                "stream_pauses_total", "Times that a connection was read more slowly, for its limits or the store.",
                metrics.pauses
            ),
        ] {
            page.single(prefix + name, "counter", help, Double(counter.total))
        }
        page.single("\(prefix)refusals_held", "gauge", "Refused streams that are held.", Double(refusals.count))
        page.single(
            "\(prefix)event_subscribers", "gauge", "Listeners of /events.",
            Double(snapshot.house.events.subscriberCount))
    }

    private func addAnalysis(_ page: inout MetricsPage, _ status: StatusSnapshot.Status) {
        let prefix = "edge_aggregator_"
        let metrics = snapshot.analysisMetrics
        for (name, help, counter) in [
            ("windows_total", "Windows analysed.", metrics.windows),
            ("windows_gated_total", "Windows that were silent, clipped or noise.", metrics.windowsGated),
            ("windows_spilled_total", "Windows left to the recording on disk.", metrics.windowsSpilled),
            ("windows_with_voice_total", "Windows silenced for a human voice.", metrics.privacyWindows),
            ("detections_total", "Detections stored.", metrics.detections),
            ("recordings_analysed_total", "Recordings analysed to their end.", metrics.recordingsAnalysed),
            ("analysis_failures_total", "Windows and recordings that could not be analysed.", metrics.failures),
        ] {
            page.single(prefix + name, "counter", help, Double(counter.total))
        }
        page.single(
            "\(prefix)windows_waiting", "gauge", "Windows in memory that wait.", Double(status.queues.windowsWaiting))
        page.single(
            "\(prefix)backlog_recordings", "gauge", "Recordings on disk that wait.",
            Double(status.queues.backlogRecordings))
        page.histogram("\(prefix)inference_seconds", "Time of one run of the model.", metrics.inferenceSeconds)
        page.histogram(
            "\(prefix)detection_lag_seconds", "From a window's last sample to its detections in the store.",
            metrics.lagSeconds)
    }

    private func addStorage(_ page: inout MetricsPage, _ status: StatusSnapshot.Status) {
        let prefix = "edge_aggregator_"
        page.single(
            "\(prefix)disk_free_bytes", "gauge", "Free on the disk of the recordings.", Double(status.disk.freeBytes))
        page.single(
            "\(prefix)disk_size_bytes", "gauge", "Size of the disk of the recordings.", Double(status.disk.totalBytes))
        page.single(
            "\(prefix)recordings_bytes", "gauge", "Bytes of the recordings kept.", Double(status.disk.recordingBytes))
        page.single("\(prefix)recordings_kept", "gauge", "Recordings kept.", Double(status.disk.recordings))
        page.single("\(prefix)database_bytes", "gauge", "Bytes of the database.", Double(status.disk.databaseBytes))
        page.single("\(prefix)sound_kept", "gauge", "1 if there is room for sound.", status.disk.isSoundKept ? 1 : 0)
        page.single(
            "\(prefix)recordings_open", "gauge", "Recordings being written.", Double(status.queues.recordingsOpen))
        page.single(
            "\(prefix)recordings_finishing", "gauge", "Recordings that wait to be closed.",
            Double(status.queues.recordingsFinishing))
        page.histogram("\(prefix)sync_seconds", "Time of one sync of a recording.", snapshot.storage.syncSeconds)
        page.single(
            "\(prefix)synced_bytes_total", "counter", "Bytes of sound synced.",
            Double(snapshot.storage.syncedBytes.total))
        page.single(
            "\(prefix)sync_failures_total", "counter", "Syncs that failed.", Double(snapshot.storage.syncFailures.total)
        )
        page.single(
            "\(prefix)disk_full_total", "counter", "Writes refused for want of room.",
            Double(snapshot.storage.diskFull.total))
        page.single(
            "\(prefix)writes_refused_total", "counter",
            "Writes that were not tried, since they would have used space that is reserved.",
            Double(snapshot.storage.writesRefused.total))
        page.single(
            "\(prefix)start_reserve_bytes", "gauge", "Bytes that are set aside for a start on a full disk.",
            Double(snapshot.startReserve.bytes))
        let recovery = snapshot.recovery
        page.single(
            "\(prefix)recovery_waiting", "gauge",
            "Recordings, files and sessions of an earlier run that cannot be read now and are tried again.",
            recovery.waiting.value)
        page.single(
            "\(prefix)recovery_failures_total", "counter",
            "Such things that could not be dealt with at the first attempt.",
            Double(recovery.failures.total))
        page.single(
            "\(prefix)recovery_lost_total", "counter",
            "Recordings of an earlier run that are lost; each has a line in the ledger.",
            Double(recovery.lost.total))
        let store = snapshot.house.store.statistics
        page.single(
            "\(prefix)store_queue_length", "gauge", "Groups of changes that wait for the database.",
            Double(store.queuedChanges))
        page.single("\(prefix)store_commits_total", "counter", "Commits of the database.", Double(store.commits))
        let outcomes = store.outcomes.snapshot
        page.single(
            "\(prefix)store_failures_total", "counter", "Work with the database or its folders that failed.",
            Double(outcomes.failures))
        page.single(
            "\(prefix)store_failing", "gauge", "Kinds of such work that fail now.", Double(outcomes.troubles.count))
        page.single("\(prefix)store_changes_total", "counter", "Changes committed.", Double(store.changes))
        page.single(
            "\(prefix)store_refused_total", "counter", "Groups of changes refused because too many waited.",
            Double(store.refusedChanges))
        page.single("\(prefix)store_commit_seconds", "gauge", "Time of the last commit.", store.lastCommitSeconds)
        page.single(
            "\(prefix)store_longest_commit_seconds", "gauge", "Time of the longest commit.", store.longestCommitSeconds)
    }

    private func addDeliveries(_ page: inout MetricsPage, _ status: StatusSnapshot.Status) {
        let prefix = "edge_aggregator_sink_"
        let now = Double(snapshot.house.time.now().utcNanoseconds) / 1e9
        let families: [(String, String, String, (SinkReading) -> Double?)] = [
            ("up", "gauge", "1 if the far end takes what it is sent.", { $0.state == "flowing" ? 1 : 0 }),
            (
                "unauthorised", "gauge", "1 if the far end does not let the box in.",
                { $0.state == "unauthorised" ? 1 : 0 }
            ),
            ("failures", "gauge", "Attempts in a row that failed.", { Double($0.failures) }),
            ("delivered_total", "counter", "Facts that the far end has.", { Double($0.factsDone) }),
            (
                "refused_total", "counter", "Facts that the far end will not take, and are set aside.",
                { Double(max(0, $0.factsRefused)) }
            ),
            (
                "given_up_total", "counter", "Facts that were given up for want of room or time.",
                { Double($0.factsGivenUp) }
            ),
            ("sent_bytes_total", "counter", "Bytes sent.", { Double($0.bytesSent) }),
            (
                "oldest_waiting_seconds", "gauge", "Age of the oldest that waits.",
                { sink in
                    let oldest = sink.waiting.filter { $0.state == "waiting" }.compactMap {
                        ISOTime.nanoseconds($0.oldestAt)
                    }
                    return oldest.min().map { max(0, now - Double($0) / 1e9) } ?? 0
                }
            ),
        ]
        for (name, type, help, value) in families {
            page.family(prefix + name, type, help)
            for sink in status.sinks {
                if let value = value(sink) { page.sample(prefix + name, [("sink", sink.name)], value) }
            }
        }
        page.family("\(prefix)waiting", "gauge", "Facts in the outbox.")
        for sink in status.sinks {
            for row in sink.waiting {
                page.sample(
                    "\(prefix)waiting", [("sink", sink.name), ("kind", row.kind), ("state", row.state)],
                    Double(row.facts))
            }
        }
    }

    private func addListeners(_ page: inout MetricsPage, lags: [String: Double]) {
        let connections = snapshot.house.registry.connections.prefix(Self.mostListeners)
        let now = snapshot.house.time.now().monotonicNanoseconds
        var statuses: [String: ListenerConnection.Status] = [:]
        for connection in connections {
            let status = connection.status
            guard var sum = statuses[connection.listener.text] else {
                statuses[connection.listener.text] = status
                continue
            }
            sum.bytes += status.bytes
            sum.counters.framesMissing += status.counters.framesMissing
            sum.gapSeconds += status.gapSeconds
            sum.gaps += status.gaps
            sum.filledGaps += status.filledGaps
            sum.lastReceivedMonotonicNanoseconds = max(
                sum.lastReceivedMonotonicNanoseconds, status.lastReceivedMonotonicNanoseconds)
            statuses[connection.listener.text] = sum
        }
        let prefix = "edge_aggregator_listener_"
        let families: [(String, String, String, (ListenerConnection.Status) -> Double)] = [
            ("received_bytes", "gauge", "Bytes received on the listener's connections.", { Double($0.bytes) }),
            (
                "missing_frames", "gauge", "Frames missing on the listener's connections.",
                { Double($0.counters.framesMissing) }
            ),
            ("gaps", "gauge", "Gaps on the listener's connections.", { Double($0.gaps + $0.filledGaps) }),
            ("gap_seconds", "gauge", "Length of the gaps on the listener's connections.", { $0.gapSeconds }),
            (
                "silent_seconds", "gauge", "Since something last came from the listener.",
                { Double(now - $0.lastReceivedMonotonicNanoseconds) / 1e9 }
            ),
        ]
        for (name, type, help, value) in families {
            page.family(prefix + name, type, help)
            for (listener, status) in statuses.sorted(by: { $0.key < $1.key }) {
                page.sample(prefix + name, [("listener", listener)], value(status))
            }
        }
        page.family(
            "\(prefix)lag_seconds", "gauge",
            "How far behind the analysis is: the age of the listener's oldest recording that waits for it, or of its last window."
        )
        for listener in statuses.keys.sorted() {
            if let lag = lags[listener] { page.sample("\(prefix)lag_seconds", [("listener", listener)], lag) }
        }
    }

    private func addProcess(_ page: inout MetricsPage) {
        let process = ProcessFigures.read()
        page.single(
            "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", Double(process.residentBytes))
        page.single(
            "process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.",
            process.cpuSeconds)
        page.single(
            "process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", Double(process.virtualBytes))
        page.single(
            "process_max_fds", "gauge", "Maximum number of open file descriptors.", Double(process.mostFiles))
        page.single("process_open_fds", "gauge", "Number of open file descriptors.", Double(process.openFiles))
        page.single("process_threads", "gauge", "Threads.", Double(process.threads))
        page.single(
            "process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.",
            Double(snapshot.started.utcNanoseconds) / 1e9)
    }
}

/// What the kernel says of this process (proc(5)).
struct ProcessFigures {
    var residentBytes: Int64 = 0
    var virtualBytes: Int64 = 0
    var cpuSeconds = 0.0
    var openFiles = 0
    var mostFiles: UInt64 = 0
    var threads = 0

    static func read() -> ProcessFigures {
        var figures = ProcessFigures()
        if let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) {
            for line in status.lines() {
                let number = line.words().lazy.compactMap { Int64($0) }.first ?? 0
                if line.hasPrefix("VmRSS:") { figures.residentBytes = number * 1024 }
                if line.hasPrefix("VmSize:") { figures.virtualBytes = number * 1024 }
                if line.hasPrefix("Threads:") { figures.threads = Int(number) }
            }
        }
        figures.cpuSeconds = edge_cpu_seconds()
        var limit = rlimit()
        // Memory: `limit` is borrowed for the call.
        if unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            figures.mostFiles = UInt64(limit.rlim_cur)
        }
        figures.openFiles = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
        return figures
    }
}
