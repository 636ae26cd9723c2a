import Store

extension DeliveryRecord {
    /// The row with some of its facts only.
    func cut(to facts: ClosedRange<Int64>) -> DeliveryRecord {
        DeliveryRecord(
            id: id, sink: sink, kind: kind, firstID: facts.lowerBound, lastID: facts.upperBound, state: state,
            attempts: attempts, createdNanoseconds: createdNanoseconds, nextNanoseconds: nextNanoseconds, error: error,
            bytes: bytes)
    }
}
