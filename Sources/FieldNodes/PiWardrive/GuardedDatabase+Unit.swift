/// The tables of a unit that are of use; never `users`.
///
/// Memory: `read` owns the statement `row`; it is borrowed for each call of the closures, and texts of it are copied.
extension GuardedDatabase {
    /// Reads the health of the unit, in the table's order; nil for a row that cannot be taken.
    ///
    /// - Parameter onRejected: is told what is wrong with such a row.
    public func readHealth(
        onRejected: (UnitHealth.Rejected) -> Void = { _ in }, _ body: (UnitHealth?) -> Void
    ) -> Outcome {
        unsafe read("health_records", "timestamp, cpu_temp, cpu_percent, memory_percent, disk_percent") { row in
            let timestamp = unsafe Self.text(row, 0)
            let health = timestamp.flatMap { timestamp in
                unsafe UnitHealth(
                    timestamp: timestamp, temperature: Self.number(row, 1), cpu: Self.number(row, 2),
                    memory: Self.number(row, 3), disk: Self.number(row, 4))
            }
            if health == nil {
                // A number, or nothing, is no text of a time.
                let number = unsafe Self.number(row, 0)
                onRejected(UnitHealth.Rejected(timestamp: timestamp ?? number.map { "\($0)" }))
            }
            body(health)
        }
    }

    /// Reads the access points, in the table's order; nil for a row that is none.
    public func readAccessPoints(_ body: (AccessPoint?) -> Void) -> Outcome {
        unsafe read("ap_cache", "bssid, ssid, encryption, lat, lon, last_time") { row in
            unsafe body(
                Self.text(row, 0).flatMap { bssid in
                    unsafe AccessPoint(
                        bssid: bssid, ssid: Self.text(row, 1) ?? "", encryption: Self.text(row, 2) ?? "",
                        latitude: Self.number(row, 3), longitude: Self.number(row, 4),
                        seenSeconds: Self.number(row, 5).flatMap { Int64(exactly: $0.rounded()) })
                })
        }
    }
}
