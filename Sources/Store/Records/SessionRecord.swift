/// A listener's connection, when it begins.
public struct SessionRecord: Sendable, Hashable {
    /// `<listener>/<first 8 of the boot id>/<counter>`
    public let id: String
    public let listenerID: String
    public let bootID: String
    public let counter: Int
    /// UTC.
    public let openedNanoseconds: Int64
    /// Steady clock of that boot.
    public let monotonicNanoseconds: Int64
    public let remoteAddress: String
    /// `stream`, `upload` or `mock`.
    public let source: String

    public init(
        id: String, listenerID: String, bootID: String, counter: Int, openedNanoseconds: Int64,
        monotonicNanoseconds: Int64, remoteAddress: String, source: String
    ) {
        self.id = id
        self.listenerID = listenerID
        self.bootID = bootID
        self.counter = counter
        self.openedNanoseconds = openedNanoseconds
        self.monotonicNanoseconds = monotonicNanoseconds
        self.remoteAddress = remoteAddress
        self.source = source
    }
}

/// A listener's connection, when it has ended.
public struct SessionClose: Sendable, Hashable {
    public let id: String
    public let closedNanoseconds: Int64
    /// `end of body`, `disconnected`, `idle`, `shutdown`, `unclean stop`.
    public let reason: String
    public let framesReceived: Int64
    public let bytesReceived: Int64
    public let framesDuplicate: Int64
    public let framesOld: Int64
    public let framesMissing: Int64
    public let framesRealigned: Int64
    public let metadataFrames: Int64

    public init(
        id: String, closedNanoseconds: Int64, reason: String, framesReceived: Int64 = 0, bytesReceived: Int64 = 0,
        framesDuplicate: Int64 = 0, framesOld: Int64 = 0, framesMissing: Int64 = 0, framesRealigned: Int64 = 0,
        metadataFrames: Int64 = 0
    ) {
        self.id = id
        self.closedNanoseconds = closedNanoseconds
        self.reason = reason
        self.framesReceived = framesReceived
        self.bytesReceived = bytesReceived
        self.framesDuplicate = framesDuplicate
        self.framesOld = framesOld
        self.framesMissing = framesMissing
        self.framesRealigned = framesRealigned
        self.metadataFrames = metadataFrames
    }
}
