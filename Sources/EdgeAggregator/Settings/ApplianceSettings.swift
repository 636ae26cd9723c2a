import Foundation
import Sensors

/// Who may ask the box.
struct AccessSettings: Sendable {
    /// The paths of stock clients, by whose they are.
    enum StockPaths: String, CaseIterable, Sendable { case recordings, co2, isems, piwardrive, metrics }

    struct TLS: Sendable, Equatable {
        let certificatePath: String
        let keyPath: String
    }

    let isTokenNeeded: Bool
    let tlsAddresses: [BoxSettings.Address]
    let tls: TLS?
    let trustedProxies: TrustedProxies
    let stockPaths: Set<StockPaths>
    let requestsPerMinute: Int
    let loginFailuresPerMinute: Int
    let mostClients: Int
    /// By which names the box may be asked while no token is asked for.
    let hosts: KnownHosts
    /// How much of a body is read after its response is complete; see ``UnreadBody``.
    let maximumDiscardedBodyBytes: Int

    init(_ reader: inout SettingsReader, box: BoxSettings) {
        tlsAddresses = BoxSettings.addresses("tls_listen", &reader)
        let everywhere = box.addresses + tlsAddresses
        isTokenNeeded =
            switch reader.text("require_api_token") {
            case "yes": true
            case "no": false
            default: !everywhere.allSatisfy { NearbyGuard.isLoopback($0.host) || $0.host == "localhost" }
            }
        let (certificate, key) = (reader.text("tls_certificate_file"), reader.text("tls_key_file"))
        tls = certificate.isEmpty || key.isEmpty ? nil : TLS(certificatePath: certificate, keyPath: key)
        if !tlsAddresses.isEmpty, tls == nil {
            reader.refuse("tls_listen", "tls_certificate_file and tls_key_file are needed too")
        }
        var proxies: [AddressRange] = []
        for text in reader.list("trusted_proxies") {
            guard let range = AddressRange(text) else {
                reader.refuse("trusted_proxies", "`\(text)` is not an address or a range such as 10.0.0.0/24")
                continue
            }
            proxies.append(range)
        }
        trustedProxies = TrustedProxies(ranges: proxies)
        var paths: Set<StockPaths> = []
        for text in reader.list("stock_paths") where text != "none" {
            guard let path = StockPaths(rawValue: text) else {
                let known = StockPaths.allCases.map(\.rawValue).joined(separator: ", ")
                reader.refuse("stock_paths", "`\(text)` is none of \(known), none")
                continue
            }
            paths.insert(path)
        }
        stockPaths = paths
        requestsPerMinute = reader.int("api_requests_per_minute")
        loginFailuresPerMinute = reader.int("login_failures_per_minute")
        mostClients = reader.int("max_known_clients")
        hosts = KnownHosts(
            configured: Set(everywhere.compactMap { HostName($0.host) }).union(Self.hostNames(&reader)))
        maximumDiscardedBodyBytes = reader.int("max_discarded_body_bytes")
    }

    private static func hostNames(_ reader: inout SettingsReader) -> [HostName] {
        reader.list("host_names").compactMap { text in
            let name = HostName(text)
            if name == nil {
                reader.refuse(
                    "host_names", "`\(text)` is not a host name such as edge.example.org, without scheme and port")
            }
            return name
        }
    }
}

/// How the box spares and guards itself.
struct ApplianceSettings: Sendable {
    let profile: BoardProfile
    let analyzerProcessors: ProcessorSet?
    let otherProcessors: ProcessorSet?
    let analyzerNiceness: Int
    let boardLimits: BoardWatch.Limits
    /// 0 for never.
    let boardWatchSeconds: Int
    let sysfsRoot: String
    let mostBadStarts: Int
    let safeModeMinutes: Int
    let updateLockPath: String

    init(_ reader: inout SettingsReader) {
        sysfsRoot = reader.text("sysfs_root")
        let model = BoardHealth.model(root: sysfsRoot)
        profile = BoardProfile(rawValue: reader.text("profile")) ?? BoardProfile(model: model)
        let isAnalysisOn = reader.bool("analyze_recordings")
        let suitable = profile.analyzerProcessors
        analyzerProcessors = reader.checked(isOn: isAnalysisOn, off: "analyze_recordings: false") {
            Self.processors("analyzer_cpu_affinity", suitable, &$0)
        }
        otherProcessors = Self.processors("everything_but_analyzer_cpu_affinity", profile.otherProcessors, &reader)
        analyzerNiceness = reader.int("analyzer_nice")
        let watchSeconds = reader.int("board_watch_interval_sec")
        boardWatchSeconds = watchSeconds
        boardLimits = reader.checked(
            isOn: isAnalysisOn && watchSeconds > 0,
            off: isAnalysisOn ? "board_watch_interval_sec: 0" : "analyze_recordings: false"
        ) { Self.boardLimits(&$0) }
        mostBadStarts = reader.int("safe_mode_after")
        safeModeMinutes = reader.int("safe_mode_minutes")
        updateLockPath = reader.text("update_lock_file")
    }

    private static func boardLimits(_ reader: inout SettingsReader) -> BoardWatch.Limits {
        var (warm, hot) = (reader.number("analysis_slow_celsius"), reader.number("analysis_slowest_celsius"))
        // Between the two the pace falls; there must be something between them.
        reader.reconcile(
            "analysis_slow_celsius", &warm, atMost: "analysis_slowest_celsius", &hot, lower: { $0 - 0.1 },
            upper: { $0 + 7 })
        return BoardWatch.Limits(warm: warm, hot: hot, memoryPressure: reader.number("analysis_memory_pressure"))
    }

    private static func processors(
        _ name: String, _ fallback: String, _ reader: inout SettingsReader
    ) -> ProcessorSet? {
        let text = reader.text(name)
        if text.isEmpty { return ProcessorSet(fallback) }
        let set = ProcessorSet(text)
        if set == nil { reader.refuse(name, "`\(text)` is not a list of processors such as 0,2-3") }
        return set
    }
}

/// What is known to suit a board.
enum BoardProfile: String, Sendable {
    case pi4
    case pi5
    case generic

    /// - Parameter model: as the device tree names it.
    init(model: String?) {
        let model = model ?? ""
        if model.hasPrefix("Raspberry Pi 5") || model.hasPrefix("Raspberry Pi Compute Module 5")
            || model.hasPrefix("Raspberry Pi 500")
        {
            self = .pi5
        } else if model.hasPrefix("Raspberry Pi 4") || model.hasPrefix("Raspberry Pi Compute Module 4")
            || model.hasPrefix("Raspberry Pi 400")
        {
            self = .pi4
        } else {
            self = .generic
        }
    }

    /// Both boards have four cores. Interrupts of network and card come in on the first, so the analysis keeps off it; a Pi 4 has
    /// half the memory bandwidth, and a third interpreter gains it little but heat.
    var analyzerWorkers: Int? {
        switch self {
        case .pi4: 2
        case .pi5: 3
        case .generic: nil
        }
    }

    var analyzerProcessors: String {
        switch self {
        case .pi4: "2-3"
        case .pi5: "1-3"
        case .generic: ""
        }
    }

    var otherProcessors: String {
        switch self {
        case .pi4: "0-1"
        case .pi5: "0-3"
        case .generic: ""
        }
    }
}
