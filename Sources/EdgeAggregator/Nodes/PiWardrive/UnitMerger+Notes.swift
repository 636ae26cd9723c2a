import FieldNodes
import Sensors
import Store

/// What the operator is told of an upload that is not all that it could be.
extension UnitMerger {
    func reject(_ item: UploadSpool.Item, _ reason: String) throws {
        try house.store.commitBlocking([
            .rejectedLines([
                RejectedLineRecord(
                    key: item.unit.key, line: "an upload of \(item.bytes) bytes", reason: reason,
                    lastNanoseconds: house.time.now().utcNanoseconds)
            ])
        ])
    }

    /// Says at the node what was in an upload that may not be all of the unit's rows. Of each unit the last one is kept.
    func note(_ item: UploadSpool.Item, _ report: Report) throws {
        let message =
            "The last upload (\(item.bytes) bytes) is a database in WAL mode without its -wal: \(report.health) health records and \(report.accessPoints) access points are in it. What the unit wrote since its last checkpoint is missing; let it run PRAGMA wal_checkpoint(TRUNCATE) before it sends"
        try warn(item, position: 0, type: "journal", message)
    }

    /// Says at the node which rows of an upload are missing for their timestamps. Of each unit the last one is kept.
    func noteUndated(_ item: UploadSpool.Item, _ report: Report, _ first: String) throws {
        let message =
            "\(report.undated) rows of health_records in an upload (\(item.bytes) bytes) were not taken: their timestamp is no date since 2001, the first is `\(first)`. \(report.health) rows were taken"
        try warn(item, position: 1, type: "timestamp", message)
    }

    /// - Parameter position: the place of this kind of warning among the unit's; a newer one replaces it.
    private func warn(_ item: UploadSpool.Item, position: Int64, type: String, _ message: String) throws {
        try house.store.commitBlocking([
            .nodeErrors(
                item.unit.key, path: "upload",
                [
                    NodeErrorRecord(
                        position: position, timeNanoseconds: house.time.now().utcNanoseconds, level: "WARN",
                        type: type, message: message)
                ])
        ])
    }
}
