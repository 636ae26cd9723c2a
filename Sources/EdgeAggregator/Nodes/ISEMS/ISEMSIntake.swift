import FieldNodes
import Sensors
import Store

/// Turns what ISEMS nodes say into changes of the store, whichever way it came.
struct ISEMSIntake: Sendable {
    let house: NodeHouse
    /// Whether lines must be of the node that the topic names.
    let mustMatch: Bool

    static let layout = ReadingLayout(ISEMSReading.layout)

    struct Result: Sendable {
        var changes: [StoreChange] = []
        var readings = 0
        var rejected = 0
        /// Of which readings were taken, in no order.
        var nodes: [NodeID] = []
        /// Why the first line that was rejected was.
        var firstReason: String?
    }

    /// Lines of a log or message. What can be read is taken, what cannot is kept for inspection.
    ///
    /// - Parameters:
    ///   - expected: the node that the topic names; nil where anybody's lines may come.
    ///   - from: where it came from, for the node's record.
    func lines(_ bytes: [UInt8], expected: String?, from: String) -> Result {
        let (readings, rejected) = ISEMSReading.all(String(decoding: bytes, as: UTF8.self))
        return take(readings, rejected, expected: expected, from: from)
    }

    /// The JSON form.
    func json(_ bytes: [UInt8], node: String, from: String) -> Result {
        let now = house.time.now()
        do throws(RejectedLine) {
            let reading = try ISEMSReading(
                json: bytes, nodeID: node, arrivalSeconds: now.utcNanoseconds / 1_000_000_000)
            let stamp = ISEMSReading.hasTime(json: bytes) ? nil : now
            return take([reading], [], expected: node, from: from, stamp: stamp)
        } catch {
            return take([], [error], expected: node, from: from)
        }
    }

    private func take(
        _ readings: [ISEMSReading], _ rejected: [RejectedLine], expected: String?, from: String,
        stamp: TimeStamp? = nil
    ) -> Result {
        let now = house.time.now().utcNanoseconds
        var result = Result()
        var batches: [NodeID: ReadingBatch] = [:]
        var lines = rejected.map { line in
            RejectedLineRecord(
                key: NodeKey(kind: NodeKind.isems.rawValue, name: expected ?? ""), line: line.line,
                reason: line.reason, lastNanoseconds: now)
        }
        func reject(_ reading: ISEMSReading, _ reason: String) {
            lines.append(
                RejectedLineRecord(
                    key: NodeKey(kind: NodeKind.isems.rawValue, name: expected ?? reading.nodeID),
                    line: "\(reading.nodeID);\(reading.revision ?? "");\(reading.timeSeconds)", reason: reason,
                    lastNanoseconds: now))
        }
        for reading in readings {
            guard let node = NodeID(.isems, reading.nodeID) else { continue }
            if mustMatch, let expected, NodeID(.isems, expected) != node {
                reject(reading, "it is of another node than its topic, \(expected)")
                continue
            }
            let verdict = house.registry.judgeTrusted(node, nowNanoseconds: now)
            guard verdict == .admitted else {
                house.metrics.isems.refused.add(1)
                reject(reading, verdict.reason(node))
                continue
            }
            batches[node, default: ReadingBatch(key: node.key, layout: Self.layout)].add(
                timeNanoseconds: reading.timeSeconds * 1_000_000_000, reading.values,
                text: reading.storedTexts)
        }
        for (node, var batch) in batches {
            if let stamp {
                batch.timeQuality = stamp.isSynchronised ? "live" : "unsynchronised"
                batch.bootID = stamp.bootID
                batch.monotonicNanoseconds = stamp.monotonicNanoseconds - stamp.utcNanoseconds % 1_000_000_000
            }
            result.readings += batch.count
            if let sighting = house.registry.sighting(node, at: now, remoteAddress: from) {
                result.changes.append(sighting)
            }
            result.changes.append(.readings(batch))
        }
        result.rejected = lines.count
        result.firstReason = lines.first?.reason
        result.nodes = Array(batches.keys)
        if !lines.isEmpty { result.changes.append(.rejectedLines(lines)) }
        house.metrics.isems.messages.add(1)
        house.metrics.isems.readings.add(Int64(result.readings))
        house.metrics.isems.rejected.add(Int64(result.rejected))
        return result
    }
}
