/// The table of the former collector.
extension GuardedDatabase {
    /// Reads `measurement`, in the table's order; nil for a row that makes no sense.
    ///
    /// Its times are wall time of Berlin without a zone. In the hour that autumn repeats, a node's row that would lie before
    /// the one before it is of the second turn.
    ///
    /// Memory: `read` owns the statement `row`; it is borrowed for each call of the closure, and texts of it are copied.
    public func readMeasurements(_ body: (ISEMSReading?) -> Void) -> Outcome {
        let names = ISEMSReading.Field.allCases.map { "\"\($0)\"" }.joined(separator: ", ")
        var last: [NodeID: Int64] = [:]
        return unsafe read(
            "measurement", "\"nodeId\", \"isemsRevision\", \"timestamp\", \"openMPPTFirmwareVersion\", \(names)"
        ) { row in
            guard let name = unsafe Self.text(row, 0), let node = NodeID(.isems, name),
                let stamp = unsafe Self.text(row, 2),
                let wall = CivilTime.nanoseconds(isoText: stamp).map({ $0.flooredQuotient(by: 1_000_000_000) })
            else { return body(nil) }
            let moments = BerlinTime.seconds(wallSeconds: wall)
            // A moment that the clock skipped was written by a clock that does not know of it.
            let before = last[node] ?? .min
            let seconds = moments.first { $0 > before } ?? moments.last ?? wall - 3600
            guard (ISEMSReading.earliestSeconds..<ISEMSReading.latestSeconds).contains(seconds) else {
                return body(nil)
            }
            last[node] = seconds
            let values = ISEMSReading.Field.allCases.map { field -> Double in
                let value = unsafe Self.number(row, Int32(4 + field.rawValue)) ?? .nan
                return value.isFinite ? value : .nan
            }
            unsafe body(
                ISEMSReading(
                    nodeID: node.text, revision: Self.text(row, 1), timeSeconds: seconds, firmware: Self.text(row, 3),
                    values: values))
        }
    }
}
