import Foundation

extension UnitHealth {
    /// The records of a unit's other form: a JSON array of objects. Nil when it is none.
    ///
    /// - Returns: those that make sense, and how many do not.
    public static func all(json bytes: [UInt8]) -> (records: [UnitHealth], rejected: Int)? {
        guard let parsed = try? JSONSerialization.jsonObject(with: Data(bytes)), let rows = parsed as? [Any] else {
            return nil
        }
        let records = rows.compactMap { row -> UnitHealth? in
            guard let row = row as? [String: Any], let timestamp = row["timestamp"] as? String else { return nil }
            func number(_ name: String) -> Double? { (row[name] as? NSNumber)?.doubleValue }
            return UnitHealth(
                timestamp: timestamp, temperature: number("cpu_temp"), cpu: number("cpu_percent"),
                memory: number("memory_percent"), disk: number("disk_percent"))
        }
        return (records, rows.count - records.count)
    }
}
