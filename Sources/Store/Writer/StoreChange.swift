/// A change of the store. Each may be repeated: the second time changes nothing.
public enum StoreChange: Sendable {
    case openSession(SessionRecord)
    case closeSession(SessionClose)
    case openRecording(RecordingRecord)
    case closeRecording(RecordingClose)
    /// The times of the sound are not final; they are settled later.
    case inferTimes(recording: String)
    /// The clock was stepped while a recording is open: its file is stamped by another clock from now on.
    case clockStepped(recording: String, offsetNanoseconds: Int64)
    /// The row stays, so that the name is never given again and coverage adds up.
    case deleteRecording(name: String, reason: String, atNanoseconds: Int64)
    /// The times of a run are final: moves its recordings, detections and ledger lines, changes the length of the gap before
    /// it, and lets them be delivered.
    case settleRun(
        sessionID: String, run: Int, byNanoseconds: Int64, gapByNanoseconds: Int64, timeQuality: String?)
    case analysed(recording: String, state: String, windows: Int, error: String?, atNanoseconds: Int64)
    case detections([DetectionRecord])
    /// Taken together. Of one that is there already nothing changes.
    case observations([ObservationRecord])
    /// Sound of a recording was silenced: a line of the ledger, which counts once.
    case silenced(LedgerEntry)
    case ledger(LedgerEntry)
    case touchListener(id: String, seenNanoseconds: Int64, remoteAddress: String)
    /// Kept only until they are delivered.
    case metrics(MetricBatch)
    case delivered([DeliverySettlement], atNanoseconds: Int64)
    /// Drops deliveries for which there is no room; the ledger says so.
    case shed([Int64], reason: String, atNanoseconds: Int64)
    /// Hands what waits for one sink over to another that carries these kinds now.
    case moveDeliveries([DeliveryKind], from: String, to: String)
    /// Gives refused deliveries another chance: all, one sink's, or these.
    case requeue(sink: String?, ids: [Int64]?)
    /// The clock is set: what was stamped before it was is moved to its right time, and may go.
    case clockIsSet(bootID: String, offsetNanoseconds: Int64, atNanoseconds: Int64)
    /// The clock was waited for long enough: what it has stamped may go as it is, and stays so.
    case clockIsAssumed
    /// What an upload must know of a recording's file, in the words of whoever uploads. It goes with the delivery.
    case seal(recordingID: Int64, text: String)
    /// Forgets what is older and nothing waits for, at most so many rows of each kind.
    case forgetHistory(beforeNanoseconds: Int64, most: Int)
    /// Forgets listeners that were last seen before then and of which no sound was ever kept, at most so many, with their
    /// sessions and lines of the ledger; never while a line of one waits for its delivery.
    case forgetEmptyListeners(beforeNanoseconds: Int64, limit: Int)
    case multipart(MultipartUpload)
    case multipartEnded(deliveryID: Int64)
    /// A node was heard of.
    case node(NodeSighting)
    /// What the operator says of a node.
    case admitNode(NodeKey, NodeRecord.Admission, atNanoseconds: Int64)
    /// A node that waits to be admitted, and of which nothing is stored, gives its room to another one.
    case forgetWaitingNode(NodeKey)
    /// Readings of a node. Of one that is there already nothing changes.
    case readings(ReadingBatch)
    /// A node's file was read on; nothing changes when it was begun anew meanwhile, so that it stands elsewhere than `from`.
    case nodeFileRead(NodeKey, path: String, from: Int64, to: Int64)
    /// A node has begun a file anew: it is read from its beginning.
    case nodeFileAnew(NodeKey, path: String)
    case nodeErrors(NodeKey, path: String, [NodeErrorRecord])
    case rejectedLines([RejectedLineRecord])
    /// Replaces what is known of them.
    case accessPoints(NodeKey, [AccessPointRecord])
    /// A forecast field is on the disk. Of one that is there already nothing changes.
    case dataset(DatasetRecord)
    /// All fields of a run are there: they are shown, sent and told of from now on.
    case runIsWhole(kind: String, runSeconds: Int64, atNanoseconds: Int64)
    /// These fields are shown no more; their files may go.
    case datasetsExpire(ids: [String])
    /// The files of expired fields are gone from the disk. Their rows go when the files at the far end are gone too.
    case datasetsAreGone(ids: [String], atNanoseconds: Int64)
    case datasetsRead(ids: [String], atSeconds: Int64)
    case collection(CollectionRecord)
    /// Changes nothing, and is synced like everything else.
    case beat
    /// Forgets what was collected before; the last of each kind stay.
    case forgetCollections(beforeSeconds: Int64)
    case forecastTraffic(day: String, bytes: Int64)
    case jobWasRun(name: String, dueSeconds: Int64)
}

extension StoreChange {
    /// Whether a sink may have something to do after it.
    var mayMakeDeliveries: Bool {
        switch self {
        case .closeSession, .closeRecording, .settleRun, .analysed, .detections, .observations, .readings, .ledger,
            .metrics, .delivered, .moveDeliveries, .requeue, .clockIsSet, .clockIsAssumed, .dataset, .runIsWhole,
            .datasetsAreGone, .collection:
            true
        case .openSession, .openRecording, .inferTimes, .clockStepped, .deleteRecording, .silenced, .touchListener,
            .shed, .seal,
            .forgetHistory, .forgetEmptyListeners, .multipart, .multipartEnded, .node, .admitNode,
            .forgetWaitingNode, .nodeFileRead, .nodeFileAnew, .nodeErrors, .rejectedLines, .accessPoints,
            .datasetsExpire, .datasetsRead, .forgetCollections, .forecastTraffic, .jobWasRun, .beat:
            false
        }
    }
}
