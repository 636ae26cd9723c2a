import FieldNodes
import Foundation
import Logging
import ServiceLifecycle
import Store
import TextParts
import Uplink

/// Fetches the logs of ISEMS nodes at intervals, several at a time. One that fails holds up nobody, and is left alone for
/// longer each time.
struct ISEMSPoller: Service {
    let intake: ISEMSIntake
    let transport: CurlTransport
    let addresses: [String]
    let interval: Duration
    let timeoutSeconds: Int
    let concurrency: Int

    /// The most that the interval grows to.
    static let longestPause: Duration = .seconds(4 * 3600)
    /// Nodes of one log that have a line in the daemon's log.
    private static let maximumNamed = 5

    struct Outcome: Sendable {
        let address: String
        /// Nil when it went well.
        var failure: String?
        var readings = 0
        var rejected = 0
        /// Of which readings were taken.
        var nodes: [NodeID] = []
        /// Why the first line that was rejected was.
        var firstReason: String?
        /// Of the log.
        var bytes: Int64 = 0
    }

    private struct Turn {
        var due = ContinuousClock.now
        var failures = 0
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var turns = Dictionary(addresses.map { ($0, Turn()) }, uniquingKeysWith: { $1 })
            while !Task.isCancelled {
                let now = ContinuousClock.now
                let due = addresses.filter { (turns[$0]?.due ?? now) <= now }
                for outcome in await poll(due) {
                    var turn = turns[outcome.address] ?? Turn()
                    turn.failures = outcome.failure == nil ? 0 : min(turn.failures + 1, 16)
                    let pause = min(interval * (1 << turn.failures), max(interval, Self.longestPause))
                    turn.due = .now + pause
                    tell(outcome, turn.failures)
                    turns[outcome.address] = turn
                }
                let next = turns.values.map(\.due).min() ?? .now + interval
                try? await Task.sleep(until: next, clock: .continuous)
            }
        }
    }

    private func tell(_ outcome: Outcome, _ failures: Int) {
        guard let failure = outcome.failure else {
            note(outcome)
            return
        }
        intake.house.metrics.pollFailures.add(1)
        guard failures == 1 else { return }
        intake.house.logger.warning(
            "An ISEMS node's log could not be fetched; it is asked again",
            metadata: ["address": "\(outcome.address)", "reason": "\(failure)"])
    }

    /// A line in the log for each node whose lines were in the log that was fetched.
    private func note(_ outcome: Outcome) {
        let names = outcome.nodes.map(\.text).sorted()
        for name in names.isEmpty ? [""] : names.prefix(Self.maximumNamed).map(\.self) {
            var contact = NodeContact(.isems, name, from: outcome.address.hidingPasswords, what: "poll")
            contact.bytes = outcome.bytes
            contact.end(readings: outcome.readings, rejected: outcome.rejected)
            contact.reason = outcome.firstReason ?? ""
            intake.house.contacts.note(contact)
        }
    }

    /// Asks these, `concurrency` at a time.
    func poll(_ addresses: [String]) async -> [Outcome] {
        await withTaskGroup(of: Outcome.self) { group in
            var rest = addresses[...]
            var outcomes: [Outcome] = []
            for _ in 0..<concurrency {
                if let address = rest.popFirst() { group.addTask { await poll(address) } }
            }
            for await outcome in group {
                outcomes.append(outcome)
                if let address = rest.popFirst() { group.addTask { await poll(address) } }
            }
            return outcomes
        }
    }

    private func poll(_ address: String) async -> Outcome {
        var request = OutgoingRequest("GET", address)
        request.options.connectTimeoutSeconds = min(10, timeoutSeconds)
        request.options.totalTimeoutSeconds = timeoutSeconds
        var outcome = Outcome(address: address)
        do {
            let answer = try await transport.perform(request)
            guard answer.status == 200 else {
                outcome.failure = "it answers \(answer.status)"
                return outcome
            }
            // Later firmware answers any path it does not know with its start page, and calls logs text/html too.
            guard !ISEMSReading.isPage(answer.body) else {
                outcome.failure = "it answers with a page, not a log; its log may be at /csv.log (isems_router_ips)"
                return outcome
            }
            let result = intake.lines(answer.body, expected: nil, from: address.hidingPasswords)
            try await intake.house.store.commit(result.changes)
            (outcome.readings, outcome.rejected) = (result.readings, result.rejected)
            (outcome.nodes, outcome.firstReason) = (result.nodes, result.firstReason)
            outcome.bytes = Int64(answer.body.count)
        } catch {
            outcome.failure = "\(error)"
        }
        return outcome
    }
}
