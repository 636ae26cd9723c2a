import Foundation

extension UnitHealth {
    /// The records of a unit's other form: a JSON array of objects. Nil when it is none.
    ///
    /// - Returns: those that make sense, and those that do not.
    public static func all(json bytes: [UInt8]) -> (records: [UnitHealth], rejected: [Rejected])? {
        guard let parsed = try? JSONSerialization.jsonObject(with: Data(bytes)), let rows = parsed as? [Any] else {
            return nil
        }
        var rejected: [Rejected] = []
        let records = rows.compactMap { row -> UnitHealth? in
            let row = row as? [String: Any] ?? [:]
            let timestamp = row["timestamp"] as? String
            func number(_ name: String) -> Double? { (row[name] as? NSNumber)?.doubleValue }
            let record = timestamp.flatMap {
                UnitHealth(
                    timestamp: $0, temperature: number("cpu_temp"), cpu: number("cpu_percent"),
                    memory: number("memory_percent"), disk: number("disk_percent"))
            }
            if record == nil { rejected.append(Rejected(timestamp: timestamp)) }
            return record
        }
        return (records, rejected)
    }
}
