import FieldNodes

/// What is kept of CO2 units: bytes of their files, and files and folders, each of which takes an inode.
struct CO2Usage: Sendable, Equatable {
    var bytes: Int64 = 0
    var entries: Int64 = 0

    static func + (first: CO2Usage, second: CO2Usage) -> CO2Usage {
        CO2Usage(bytes: first.bytes + second.bytes, entries: first.entries + second.entries)
    }
}

/// How much each CO2 unit keeps on the disk, and all units together that one network address has added.
///
/// A value type without I/O: the caller counts what is in a unit's folder, and tells the time.
struct CO2Accounts: Sendable {
    struct Limits: Sendable {
        var unit = CO2Usage(bytes: .max, entries: .max)
        /// Of the units of one address that the operator has not named.
        var address = CO2Usage(bytes: .max, entries: .max)
        /// How long a count is believed that leaves no room: the operator may have removed files meanwhile.
        var recountAfter = Duration.seconds(60)
    }

    struct Refusal: Error, Sendable, Equatable, CustomStringConvertible {
        let description: String
    }

    private struct Account {
        var usage: CO2Usage
        let countedAt: ContinuousClock.Instant
    }

    /// Bytes of stored files that a unit may have copied in a minute: a push that differs in the middle of a file costs a copy of
    /// what is before it. A unit's files have 100 kB.
    static let copiedBytesPerMinute = 16_000_000

    let limits: Limits
    private var accounts: [NodeID: Account] = [:]
    private var copies: [NodeID: TokenBucket] = [:]

    init(limits: Limits) { self.limits = limits }

    func isKnown(_ unit: NodeID) -> Bool { accounts[unit] != nil }

    mutating func set(_ unit: NodeID, _ usage: CO2Usage, at now: ContinuousClock.Instant) {
        accounts[unit] = Account(usage: usage, countedAt: now)
    }

    /// What is in the unit's folder is counted when it is needed next.
    mutating func forget(_ unit: NodeID) { accounts[unit] = nil }

    /// Whether the count of a unit is old enough to be made again before something is rejected for it.
    func isOld(_ unit: NodeID, at now: ContinuousClock.Instant) -> Bool {
        accounts[unit].map { now - $0.countedAt >= limits.recountAfter } ?? true
    }

    /// Counts what a unit is about to keep.
    ///
    /// - Parameter fellows: All units of its address; empty for a unit that the operator has named.
    mutating func reserve(_ unit: NodeID, _ usage: CO2Usage, fellows: [NodeID]) throws(Refusal) {
        let own = (accounts[unit]?.usage ?? CO2Usage()) + usage
        try check(own, limits.unit, unit.text, bytes: "co2_unit_max_bytes", entries: "co2_unit_max_files")
        if !fellows.isEmpty {
            let others = fellows.filter { $0 != unit }.compactMap { accounts[$0]?.usage }.reduce(CO2Usage(), +)
            try check(
                others + own, limits.address, "the units of the address of \(unit.text)",
                bytes: "co2_address_max_bytes", entries: "co2_address_max_files")
        }
        accounts[unit]?.usage = own
    }

    private func check(
        _ usage: CO2Usage, _ limit: CO2Usage, _ who: String, bytes: String, entries: String
    ) throws(Refusal) {
        if usage.bytes > limit.bytes {
            throw Refusal(
                description: "\(who) would keep \(usage.bytes) bytes here and may keep \(limit.bytes) (\(bytes))")
        }
        if usage.entries > limit.entries {
            throw Refusal(
                description:
                    "\(who) would keep \(usage.entries) files and folders here and may keep \(limit.entries) (\(entries))"
            )
        }
    }

    /// Counts stored bytes that are about to be copied for a unit.
    ///
    /// - Parameter nowNanoseconds: of a steady clock.
    /// - Returns: false when the unit has had too much copied within a minute.
    mutating func takeCopy(_ unit: NodeID, bytes: Int64, nowNanoseconds now: Int64) -> Bool {
        guard bytes > 0 else { return true }
        guard var bucket = copies[unit] ?? TokenBucket(perMinute: Self.copiedBytesPerMinute, nowNanoseconds: now),
            bucket.available(nowNanoseconds: now) > 0
        else { return false }
        bucket.take(Int(clamping: bytes), nowNanoseconds: now)
        copies[unit] = bucket
        return true
    }
}
