import Forecasts
import Foundation
import Logging
import Sensors
import Store

/// Collects the fields of one kind, and writes down how it went.
struct Collector: Sendable {
    let house: ForecastHouse
    /// Hears of each field: how many are done, and of how many.
    var progress: @Sendable (_ kind: ForecastKind, _ done: Int, _ of: Int) -> Void = { _, _, _ in }

    /// Never throws: what went wrong is in the record.
    func collect(_ kind: ForecastKind) async -> CollectionRecord {
        let started = house.now()
        let milliseconds = house.time.now().utcNanoseconds / 1_000_000 % 1000
        // To the millisecond: one by hand may begin in the same second as the daemon's.
        let moment = "\(CalendarTime.text(started).dropLast()).\(String("\(1000 + milliseconds)".dropFirst()))Z"
        var record = CollectionRecord(
            id: "\(kind.rawValue)-\(moment)", kind: kind.rawValue, status: .running,
            startedSeconds: started)
        do {
            if let shortage = house.shortage() { throw CollectionFailure.failed(shortage) }
            try await house.store.commit([.collection(record)])
            let outcome = try await kind == .currents ? collectCurrents() : collectGFS(kind)
            record.collected = outcome.collected
            record.error = outcome.problem
            record.status = outcome.isWhole ? .completed : .failed
        } catch {
            record.status = .failed
            record.error = "\(error)"
        }
        record.completedSeconds = max(started, house.now())
        do { try await house.store.commit([.collection(record)]) } catch {
            house.logger.error("How a collection ended could not be written down", metadata: ["error": "\(error)"])
        }
        tell(record)
        return record
    }

    private func tell(_ record: CollectionRecord) {
        let metadata: Logger.Metadata = [
            "type": "\(record.kind)", "collected": "\(record.collected)",
            "seconds": "\((record.completedSeconds ?? record.startedSeconds) - record.startedSeconds)",
        ]
        if record.status == .completed {
            house.logger.notice("Forecast fields are collected", metadata: metadata)
        } else {
            house.logger.warning(
                "Forecast fields could not be collected; what was there stays",
                metadata: metadata.merging(["reason": "\(record.error ?? "")"]) { $1 })
        }
    }

    struct Outcome: Sendable {
        var collected = 0
        /// What is told, also where all went well.
        var problem: String?
        var isWhole = true
    }

    private func collectGFS(_ kind: ForecastKind) async throws -> Outcome {
        let collection = GFSCollection(house, kind)
        let plan = try await collection.plan()
        // The past may be gone from the servers.
        return try await gather(
            kind, runSeconds: plan.runSeconds, forecast: plan.forecast, history: plan.history, mayMissHistory: true,
            parallel: house.settings.parallelRequests
        ) { step, isHistory in try await collection.collect(step, isHistory: isHistory) }
    }

    private func collectCurrents() async throws -> Outcome {
        let collection = CurrentsCollection(house)
        let plan = try await collection.plan()
        // One field at a time, and of it several chunks: a global one has forty megabytes on the way.
        return try await gather(
            .currents, runSeconds: plan.runSeconds, forecast: plan.forecast, history: plan.history,
            mayMissHistory: false, parallel: 1
        ) { step, isHistory in try await collection.collect(step, plan, isHistory: isHistory) }
    }

    /// The forecast, shown when all of it is there, so that nobody sees half of one; then the past.
    private func gather<Step: Sendable>(
        _ kind: ForecastKind, runSeconds: Int64, forecast: [Step], history: [Step], mayMissHistory: Bool, parallel: Int,
        _ body: @escaping @Sendable (Step, _ isHistory: Bool) async throws -> DatasetRecord
    ) async throws -> Outcome {
        let total = forecast.count + history.count
        var outcome = await each(forecast, kind, from: 0, of: total, mayMiss: false, parallel: parallel) {
            try await body($0, false)
        }
        guard outcome.isWhole else { return outcome }
        try await house.store.commit([
            .runIsWhole(
                kind: kind.rawValue, runSeconds: runSeconds, atNanoseconds: house.time.now().utcNanoseconds)
        ])
        let past = await each(
            history, kind, from: outcome.collected, of: total, mayMiss: mayMissHistory, parallel: parallel
        ) { try await body($0, true) }
        outcome.collected += past.collected
        outcome.problem = past.problem
        outcome.isWhole = past.isWhole
        return outcome
    }

    /// Collects several at a time. After the first that fails no more are begun; what has been collected stays, and is not
    /// fetched again the next time.
    ///
    /// - Parameter mayMiss: whether one that does not exist (any more) is passed over.
    private func each<Step: Sendable>(
        _ steps: [Step], _ kind: ForecastKind, from done: Int, of total: Int, mayMiss: Bool, parallel: Int,
        _ body: @escaping @Sendable (Step) async throws -> DatasetRecord
    ) async -> Outcome {
        var outcome = Outcome()
        var missing = 0
        var rest = steps[...]
        progress(kind, done, total)
        await withTaskGroup(of: Result<Void, any Error>.self) { group in
            func begin() {
                guard outcome.isWhole, let step = rest.popFirst() else { return }
                group.addTask {
                    do {
                        if let shortage = house.shortage() { throw CollectionFailure.failed(shortage) }
                        let dataset = try await body(step)
                        try await house.store.commit([.dataset(dataset)])
                        return .success(())
                    } catch {
                        return .failure(error)
                    }
                }
            }
            for _ in 0..<parallel { begin() }
            for await result in group {
                switch result {
                case .success:
                    outcome.collected += 1
                    progress(kind, done + outcome.collected, total)
                case .failure(CollectionFailure.missing(let reason)) where mayMiss:
                    missing += 1
                    outcome.problem = outcome.problem ?? "\(reason)"
                case .failure(let error):
                    if outcome.isWhole { outcome.problem = "\(error)" }
                    outcome.isWhole = false
                }
                begin()
            }
        }
        if missing > 0, outcome.isWhole {
            outcome.problem = "\(missing) fields are not there: \(outcome.problem ?? "")"
        }
        return outcome
    }
}
