import Forecasts
import Store

/// Forecast fields: what the operators of the former aggregator watch.
extension MetricsCollector {
    func addForecasts(_ page: inout MetricsPage) async throws {
        let house = forecasts.house
        let prefix = "edge_aggregator_forecast"
        let counts = try await house.store.datasetCounts()
        for (name, help, value) in [
            ("datasets", "Forecast fields that are kept.", { Double($0.kept) }),
            ("bytes", "Bytes of their files.", { Double($0.bytes) }),
            (
                "datasets_expired", "Removed forecast fields of which the endpoints still have to be told.",
                { Double($0.expired) }
            ),
            ("newest_run_timestamp_seconds", "When the newest whole run begins.", { Double($0.newestRunSeconds ?? 0) }),
            (
                "last_valid_timestamp_seconds", "The last time for which there is a field.",
                { Double($0.toSeconds ?? 0) }
            ),
        ] as [(String, String, (DatasetCount) -> Double)] {
            page.family("\(prefix)_\(name)", "gauge", help)
            for count in counts { page.sample("\(prefix)_\(name)", [("type", count.kind)], value(count)) }
        }
        page.family("\(prefix)_collections", "gauge", "Collections that are remembered, by how they ended.")
        let collections = try await house.store.collectionCounts()
        for count in collections {
            page.sample(
                "\(prefix)_collections", [("type", count.kind), ("status", count.status.rawValue)], Double(count.count))
        }
        page.family("\(prefix)_last_collected", "gauge", "Fields that the last collection has brought.")
        page.family("\(prefix)_last_collection_failed", "gauge", "1 if the last collection failed.")
        for kind in Set(collections.map(\.kind)).sorted() {
            guard let last = try await house.store.collections(kind: kind, limit: 1).first else { continue }
            page.sample("\(prefix)_last_collected", [("type", kind)], Double(last.collected))
            page.sample("\(prefix)_last_collection_failed", [("type", kind)], last.status == .failed ? 1 : 0)
        }
        let jobs = house.metrics.snapshot
        page.family("\(prefix)_job_state", "gauge", "1 for the state that a scheduled job is in.")
        for job in ForecastMetrics.Job.allCases {
            for state in ForecastMetrics.JobState.allCases {
                page.sample(
                    "\(prefix)_job_state", [("job", job.rawValue), ("state", state.rawValue)],
                    (jobs.states[job] ?? .off) == state ? 1 : 0)
            }
        }
        page.family("\(prefix)_job_next_run_timestamp_seconds", "gauge", "When a scheduled job is run next.")
        for (job, next) in jobs.next.sorted(by: { $0.key.rawValue < $1.key.rawValue }) where next < .max {
            page.sample("\(prefix)_job_next_run_timestamp_seconds", [("job", job.rawValue)], Double(next))
        }
        for (name, help, counter) in [
            ("fetched_bytes_total", "Bytes fetched.", house.fetcher.bytes),
            ("requests_total", "Requests to the servers of forecasts.", house.fetcher.requests),
            (
                "request_failures_total", "Requests that failed, were cut, or were answered with no success.",
                house.fetcher.failures
            ),
            (
                "queries_refused_total", "Questions for fields that were sent away because too many waited.",
                forecasts.fields.gate.refused
            ),
            ("removed_total", "Fields that were removed because they were old or too much.", house.metrics.removed),
            ("removed_bytes_total", "Their bytes.", house.metrics.removedBytes),
            (
                "fields_left_out_total", "Fields of the past that no server had right, at each collection.",
                house.metrics.leftOut
            ),
            (
                "orphans_total", "Files without a row, and rows without a file, that were cleared up at starts.",
                house.metrics.orphans
            ),
        ] {
            page.single("\(prefix)_\(name)", "counter", help, Double(counter.total))
        }
        let queries = forecasts.fields.gate.counts
        page.single("\(prefix)_queries", "gauge", "Answers of fields that are made or held.", Double(queries.inside))
        page.single("\(prefix)_queries_waiting", "gauge", "Questions that wait for that.", Double(queries.waiting))
        let day = String(CalendarTime.text(house.now()).prefix(10))
        page.single(
            "\(prefix)_fetched_today_bytes", "gauge", "Bytes fetched today (UTC).",
            Double(try await house.store.forecastTraffic(day: day)))
        page.single(
            "\(prefix)_daily_limit_bytes", "gauge", "Bytes that may be fetched a day; 0 for no limit.",
            Double(house.settings.mostDailyBytes))
    }
}
