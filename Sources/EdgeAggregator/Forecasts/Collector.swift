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
            if let shortage = house.shortage() { throw NoRoom(description: shortage) }
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
        if record.status == .completed, let reason = record.error {
            house.logger.warning(
                "Forecast fields are collected, except some", metadata: metadata.merging(["reason": "\(reason)"]) { $1 }
            )
        } else if record.status == .completed {
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
        /// Whether more of the same would fail as well.
        var isStopped = false
    }

    /// The disk has no room for fields.
    private struct NoRoom: Error, CustomStringConvertible {
        let description: String
    }

    /// A field that was obtained.
    struct Collected: Sendable {
        /// Nil when it was there already.
        var dataset: DatasetRecord?
        /// Why it is of the run before; nil when it is not.
        var substitution: String?
    }

    private func collectGFS(_ kind: ForecastKind) async throws -> Outcome {
        let collection = GFSCollection(house, kind)
        let plan = try await collection.plan()
        let parallel = house.settings.parallelRequests
        var outcome = try await gather(
            kind, runSeconds: plan.runSeconds, forecast: plan.forecast, parallel: parallel,
            { Collected(dataset: try await collection.collect($0, isHistory: false)) })
        guard !outcome.isStopped else { return outcome }
        var past = plan.history
        if !outcome.isWhole {
            // Of a run that cannot be had whole nothing is shown, so the run before must be there.
            let before = try await collection.forecast(ofRunBefore: plan.runSeconds)
            let earlier = try await gather(
                kind, runSeconds: before.runSeconds, forecast: before.steps, parallel: parallel,
                { Collected(dataset: try await collection.collect($0, isHistory: false)) })
            outcome.collected += earlier.collected
            guard !earlier.isStopped else { return outcome }
            // Else those of them that were fetched are shown by themselves.
            if earlier.isWhole { past.removeAll { before.steps.contains($0) } }
        }
        await addPast(past, kind, parallel: parallel, to: &outcome) { step in
            try await collection.collectPast(step)
        }
        return outcome
    }

    private func collectCurrents() async throws -> Outcome {
        let collection = CurrentsCollection(house)
        let plan = try await collection.plan()
        // One field at a time, and of it several chunks: a global one has forty megabytes on the way.
        var outcome = try await gather(.currents, runSeconds: plan.runSeconds, forecast: plan.forecast, parallel: 1) {
            Collected(dataset: try await collection.collect($0, plan, isHistory: false))
        }
        guard !outcome.isStopped else { return outcome }
        await addPast(plan.history, .currents, parallel: 1, to: &outcome) {
            Collected(dataset: try await collection.collect($0, plan, isHistory: true))
        }
        return outcome
    }

    /// The forecast, shown when all of it is there, so that nobody sees half of one.
    private func gather<Step: Sendable>(
        _ kind: ForecastKind, runSeconds: Int64, forecast: [Step], parallel: Int,
        _ body: @escaping @Sendable (Step) async throws -> Collected
    ) async throws -> Outcome {
        let tally = await each(forecast, kind, parallel: parallel, body)
        let outcome = Outcome(
            collected: tally.collected, problem: tally.report, isWhole: tally.isWhole,
            isStopped: tally.stopReason != nil)
        guard outcome.isWhole else { return outcome }
        try await house.store.commit([
            .runIsWhole(
                kind: kind.rawValue, runSeconds: runSeconds, atNanoseconds: house.time.now().utcNanoseconds)
        ])
        return outcome
    }

    /// The past: each field is shown by itself. What cannot be had is left out and reported.
    private func addPast<Step: Sendable>(
        _ history: [Step], _ kind: ForecastKind, parallel: Int, to outcome: inout Outcome,
        _ body: @escaping @Sendable (Step) async throws -> Collected
    ) async {
        let tally = await each(history, kind, parallel: parallel, body)
        outcome.collected += tally.collected
        outcome.problem = outcome.problem ?? tally.report
        outcome.isWhole = outcome.isWhole && tally.isDoneApartFromGaps
        house.metrics.leftOut.add(Int64(tally.missing + tally.failed))
    }

    /// Collects several at a time. What has been collected stays, and is not fetched again the next time.
    private func each<Step: Sendable>(
        _ steps: [Step], _ kind: ForecastKind, parallel: Int,
        _ body: @escaping @Sendable (Step) async throws -> Collected
    ) async -> StepTally {
        var tally = StepTally()
        var rest = steps[...]
        progress(kind, 0, steps.count)
        await withTaskGroup(of: Result<Collected, any Error>.self) { group in
            func begin() {
                guard tally.stopReason == nil, let step = rest.popFirst() else { return }
                group.addTask {
                    do {
                        if let shortage = house.shortage() { throw NoRoom(description: shortage) }
                        let collected = try await body(step)
                        if let dataset = collected.dataset { try await house.store.commit([.dataset(dataset)]) }
                        return .success(collected)
                    } catch {
                        return .failure(error)
                    }
                }
            }
            for _ in 0..<parallel { begin() }
            for await result in group {
                switch result {
                case .success(let collected):
                    tally.noteCollected(substitution: collected.substitution)
                    progress(kind, tally.collected, steps.count)
                case .failure(let error): tally.note(error)
                }
                begin()
            }
        }
        return tally
    }
}
