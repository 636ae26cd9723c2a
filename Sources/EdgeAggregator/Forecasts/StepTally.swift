import Forecasts

/// What became of the fields of a collection, and whether more of them are begun.
///
/// A field that cannot be obtained does not stop the others: it is left out and reported. Only what stops all of them ends the
/// collection: no room, an account that is refused, the day's budget, or failures of several fields in a row.
///
/// A value type without I/O.
struct StepTally: Sendable {
    /// So many fields that fail one after the other are no accident of one field: each costs several requests with pauses.
    static let maximumFailuresInARow = 5

    private(set) var collected = 0
    /// Fields that do not exist on any server.
    private(set) var missing = 0
    /// Fields that exist and could not be obtained.
    private(set) var failed = 0
    /// Those of them that failed because no server was reached: a later attempt may succeed.
    private(set) var unreachable = 0
    /// Fields that were taken from the run before.
    private(set) var substituted = 0
    /// Of the first field that is missing or failed, or was substituted.
    private(set) var reason: String?
    /// Why no more are begun; nil while they are.
    private(set) var stopReason: String?
    private var failuresInARow = 0

    /// Whether an error says something of one field alone.
    static func isOfOneField(_ error: any Error) -> Bool {
        switch error {
        case CollectionFailure.missing, CollectionFailure.failed, CollectionFailure.unreachable: true
        case is GRIBError, is ZarrError: true
        default: false
        }
    }

    /// Whether the servers are at fault, and not what they have.
    static func isOfTheMoment(_ error: any Error) -> Bool {
        if case CollectionFailure.unreachable = error { true } else { false }
    }

    /// - Parameter substitution: Why the run before was used; nil when it was not.
    mutating func noteCollected(substitution: String? = nil) {
        collected += 1
        failuresInARow = 0
        guard let substitution else { return }
        substituted += 1
        reason = reason ?? substitution
    }

    mutating func note(_ error: any Error) {
        guard Self.isOfOneField(error) else {
            stopReason = stopReason ?? "\(error)"
            return
        }
        reason = reason ?? "\(error)"
        if case CollectionFailure.missing = error {
            missing += 1
            return
        }
        failed += 1
        if Self.isOfTheMoment(error) { unreachable += 1 }
        failuresInARow += 1
        if failuresInARow >= Self.maximumFailuresInARow { stopReason = stopReason ?? reason }
    }

    /// Whether every field was collected.
    var isWhole: Bool { stopReason == nil && missing + failed == 0 }

    /// Whether every field was tried, and none is left out but for what the servers have. Those are tried again at the next scheduled
    /// time; after a failure of the network the collection is tried again sooner.
    var isDoneApartFromGaps: Bool { stopReason == nil && unreachable == 0 }

    /// What is reported; nil when there is nothing to report.
    var report: String? {
        if let stopReason { return stopReason }
        var parts: [String] = []
        if missing + failed > 0 { parts.append("\(missing + failed) fields are not there") }
        if substituted > 0 { parts.append("\(substituted) fields are of the run before") }
        guard let reason, !parts.isEmpty else { return nil }
        return "\(parts.joined(separator: ", ")): \(reason)"
    }
}
