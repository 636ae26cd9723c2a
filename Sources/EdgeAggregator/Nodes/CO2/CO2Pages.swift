import FieldNodes
import Foundation
import HTTPTypes
import Hummingbird
import Sensors
import Store
import Synchronization
import TextParts

/// The pages and pictures of CO2 units for people, under the former server's addresses. They are made when they are asked
/// for, and kept for as long as browsers were told to keep them.
final class CO2Pages: Sendable {
    private struct Made {
        let text: String
        let at: ContinuousClock.Instant
    }

    private let store: Store
    private let time: any TimeSource
    private let tiersFile: String
    private let executor: IngestExecutor
    private let files: PublicFiles
    private let made = Mutex<[String: Made]>([:])

    private static let day: Int64 = 86_400
    /// What is older is on no picture.
    private static let longestDays: Int64 = 3 * 366

    /// Where pages and files are, and how long browsers keep files (seconds), as the replaced server told them.
    private static let prefixes = [("/status/alive/", 590), ("/data/co2/", 3590), ("/var/pub/", 43_200)]

    /// - Parameters:
    ///   - executor: For reading the tiers' file.
    ///   - files: What is served beside the pages and pictures that are made here.
    init(store: Store, time: any TimeSource, tiersFile: String, executor: IngestExecutor, files: PublicFiles) {
        self.executor = executor
        self.files = files
        self.store = store
        self.time = time
        self.tiersFile = tiersFile
    }

    // MARK: - Answers

    /// `GET /status/alive/recent`: the last 20 signs of life, newest first.
    @Sendable
    func recent(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let query = Query(request)
        let isAscending = ["1", "true", "True"].contains(query.text("asc") ?? "")
        let pings = try await store.recentReadings(
            kind: NodeKind.co2.rawValue, layout: CO2Routes.pingLayout, limit: 20)
        var lines = ["\(CivilTime.text(seconds: nowSeconds))\t(now)"]
        lines += pings.map { ping in
            func number(_ place: Int) -> String? { ping.numbers[place].isFinite ? "\(Int(ping.numbers[place]))" : nil }
            let parsed = Ping(
                unitID: ping.key.name, nickname: ping.text, rssiRaw: number(1), rssiDBm: number(0))
            return parsed.line(nanoseconds: ping.timeNanoseconds - ping.timeNanoseconds % 1_000_000_000)
                .replacingText("\tco2unit-", with: "\t")
        }
        if isAscending { lines.reverse() }
        let text = lines.joined(separator: "\n") + "\n"
        var answer = Answer.text(text, type: "text/plain; charset=utf-8")
        if let refresh = query.text("refresh").flatMap({ Int($0) }) {
            answer.headers[HTTPField.Name("Refresh") ?? .cacheControl] = "\(refresh)"
        }
        return answer.closing(context.channel, body: text)
    }

    /// `HEAD` of everything that is here.
    @Sendable
    func head(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let answer =
            request.uri.path == "/status/alive/recent"
            ? try await recent(request, context) : try await page(request, context)
        return answer.createHeadResponse()
    }

    /// `GET /status/alive/…`, `/data/co2/…`, `/var/pub/…`: pages and pictures that are made here, and files of `var/pub/`. A file with the
    /// name of a page that is made here is not served.
    @Sendable
    func page(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let requestPath = request.uri.path
        guard let (prefix, fileSeconds) = Self.prefixes.first(where: { requestPath.begins(with: $0.0) }),
            let names = PublicFiles.names(Substring(requestPath.utf8.dropFirst(prefix.utf8.count)))
        else { return StockAnswer.notFound() }
        let name = names.count == 1 ? names[0] : ""
        let isCO2 = prefix == "/data/co2/"
        let seconds: Int
        let text: String
        let type: String
        switch name {
        case "summary", "pings_summary.html", "co2_summary.html":
            let isOfCO2 = name == "co2_summary.html" || name == "summary" && isCO2
            seconds = isOfCO2 ? 3600 : 600
            type = "text/html; charset=utf-8"
            text = try await kept(isOfCO2 ? "co2" : "pings", seconds) {
                isOfCO2 ? try await co2Summary() : try await pingSummary()
            }
        case "pings_all_tiered.svg":
            (seconds, type) = (590, "image/svg+xml")
            text = try await kept(name, seconds) {
                try await plot(
                    "Signal of all pings", CO2Routes.pingLayout, "signal", "dBm", days: Self.longestDays,
                    binSeconds: Self.day)
            }
        case "co2_tiered_recent_hires.svg":
            (seconds, type) = (3590, "image/svg+xml")
            text = try await kept(name, seconds) {
                try await plot(
                    "CO2 of the last 14 days", CO2FileParser.layout, "co2", "ppm", days: 14, binSeconds: 3600)
            }
        case "co2_tiered_all_hires.svg":
            (seconds, type) = (3590, "image/svg+xml")
            text = try await kept(name, seconds) {
                try await plot(
                    "CO2", CO2FileParser.layout, "co2", "ppm", days: Self.longestDays, binSeconds: Self.day)
            }
        default:
            return await files.answer(names, request, seconds: fileSeconds) ?? StockAnswer.notFound()
        }
        var answer = Answer.text(text, type: type)
        if type.hasPrefix("text/html") {
            answer.headers[HTTPField.Name("Refresh") ?? .cacheControl] = "\(seconds)"
        } else {
            answer.headers[.cacheControl] = "public, max-age=\(seconds)"
        }
        return answer.closing(context.channel, body: text)
    }

    /// A page is made anew when it is older than half of what browsers keep it, a minute at most.
    private func kept(_ name: String, _ seconds: Int, _ make: () async throws -> String) async throws -> String {
        let now = ContinuousClock.now
        if let known = made.withLock({ $0[name] }), now - known.at < .seconds(min(60, seconds / 2)) {
            return known.text
        }
        let text = try await make()
        made.withLock { $0[name] = Made(text: text, at: now) }
        return text
    }

    // MARK: - Contents

    private var nowSeconds: Int64 { time.now().utcNanoseconds / 1_000_000_000 }

    private func units() async throws -> [NodeRecord] {
        try await store.nodes(kind: NodeKind.co2.rawValue).filter { $0.admission == .admitted }
    }

    private func tiers() async -> [DeployTier] {
        await withTaskExecutorPreference(executor) {
            DeployTier.all((try? String(contentsOfFile: tiersFile, encoding: .utf8)) ?? "")
        }
    }

    private struct Series: Sendable {
        var points: [(seconds: Int64, value: Double)] = []
    }

    private func series(_ unit: NodeRecord, _ layout: ReadingLayout, _ quantity: String, from: Int64) async throws
        -> [(seconds: Int64, value: Double)]
    {
        let place = layout.names.firstIndex(of: quantity) ?? 0
        let series = try await store.eachReading(
            unit.key, layout: layout, fromNanoseconds: from * 1_000_000_000, into: Series()
        ) { series, reading in
            series.points.append((reading.timeNanoseconds / 1_000_000_000, reading.numbers[place]))
        }
        return series.points.filter { $0.value.isFinite }
    }

    /// A strip for each deployment of the tiers' file; a unit that is not in it has one of its own.
    private func plot(
        _ title: String, _ layout: ReadingLayout, _ quantity: String, _ unitText: String, days: Int64,
        binSeconds: Int64
    ) async throws -> String {
        let now = nowSeconds
        let tiers = await tiers().filter { $0.status == "deployed" }
        var strips: [TierPlot.Strip] = []
        for unit in try await units().prefix(TierPlot.mostStrips) {
            let points = try await series(unit, layout, quantity, from: now - days * Self.day)
            guard !points.isEmpty else { continue }
            let own = tiers.filter { $0.unitID == unit.key.name }
            if own.isEmpty {
                strips.append(.init(label: unit.label.isEmpty ? unit.key.name : unit.label, tier: 0, points: points))
            }
            for tier in own {
                let range = (tier.startSeconds ?? .min)...max(tier.startSeconds ?? .min, tier.endSeconds ?? .max)
                strips.append(
                    .init(
                        label: "\(tier.nickname) \(tier.site)", tier: tier.tier,
                        points: points.filter { range.contains($0.seconds) }))
            }
        }
        let first = strips.compactMap { $0.points.first?.seconds }.min() ?? now - Self.day
        let start = days == 14 ? now - days * Self.day : min(first, now - Self.day)
        return TierPlot(
            title: title, unit: unitText, range: start...max(start + 1, now), binSeconds: binSeconds, strips: strips
        ).svg
    }

    private func pingSummary() async throws -> String {
        let now = nowSeconds
        var rows: [[String]] = []
        for unit in try await units() {
            let points = try await series(
                unit, CO2Routes.pingLayout, "signal", from: now - Self.longestDays * Self.day)
            let values = points.map(\.value)
            let days = Set(points.map { $0.seconds / Self.day }).count
            rows.append([
                unit.key.name, unit.label,
                points.last.map { CivilTime.text(seconds: $0.seconds, separator: " ") } ?? "",
                Self.text(values.last), "\(days)", Self.text(values.max()),
                Self.text(values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)), Self.text(values.min()),
            ])
        }
        return Self.html(
            "Pings of CO2 units",
            ["unit", "nickname", "last ping (UTC)", "dBm", "ping days", "max dBm", "mean dBm", "min dBm"], rows,
            pictures: ["/status/alive/pings_all_tiered.svg"])
    }

    private func co2Summary() async throws -> String {
        var rows: [[String]] = []
        for unit in try await units() {
            var filter = ReadingFilter(key: unit.key)
            filter.layout = CO2FileParser.layout
            filter.limit = 1
            let last = try await store.readings(filter).first
            let temperature = last.map { $0.numbers[1] }.flatMap { $0 == CO2Reading.powerOnCelsius ? nil : $0 }
            rows.append([
                unit.key.name, unit.label,
                last.map { CivilTime.text(seconds: $0.timeNanoseconds / 1_000_000_000, separator: " ") } ?? "",
                Self.text(last?.numbers[0]), Self.text(temperature), Self.text(unit.signal),
            ])
        }
        return Self.html(
            "CO2", ["unit", "nickname", "last reading (UTC)", "CO2 ppm", "temperature °C", "signal dBm"], rows,
            pictures: ["/data/co2/co2_tiered_recent_hires.svg", "/data/co2/co2_tiered_all_hires.svg"])
    }

    private static func text(_ value: Double?) -> String {
        guard let value, value.isFinite else { return "" }
        return String(format: "%.1f", value)
    }

    private static func html(_ title: String, _ head: [String], _ rows: [[String]], pictures: [String]) -> String {
        func line(_ cells: [String], _ tag: String) -> String {
            "<tr>" + cells.map { "<\(tag)>\(HTML.text($0))</\(tag)>" }.joined() + "</tr>\n"
        }
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><title>\(HTML.text(title))</title>
            <style>body{font-family:sans-serif}td,th{padding:2px 10px;text-align:right}td:first-child{text-align:left}
            img{width:100%}</style></head><body><h1>\(HTML.text(title))</h1>
            <table border="1" class="dataframe"><thead>
            \(line(head, "th"))</thead><tbody>
            \(rows.map { line($0, "td") }.joined())</tbody></table>
            \(pictures.map { "<p><img src=\"\($0)\" alt=\"\"></p>" }.joined(separator: "\n"))
            </body></html>

            """
    }
}
