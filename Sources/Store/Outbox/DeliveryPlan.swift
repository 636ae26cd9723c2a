/// What a delivery carries. Its raw value stands in the database.
public enum DeliveryKind: String, Sendable, CaseIterable, Codable {
    case detections
    /// A gap, a loss or a filled stretch of the ledger.
    case coverage
    /// What sensors and the board say.
    case observations
    /// That a recording was analysed, as the former system told it.
    case analysis
    /// That a recording was uploaded, as the former system told it.
    case upload
    /// The box's metrics of one moment.
    case metrics
    /// A change of the catalogue of forecast fields.
    case catalogue
    /// A forecast field's file.
    case field
    /// That a forecast field's file is to go there too.
    case fieldRemoval
    /// A recording's file.
    case recording

    /// Whether facts that follow each other share a row of the outbox.
    var isSpan: Bool {
        switch self {
        case .detections, .coverage, .observations, .catalogue: true
        case .analysis, .upload, .metrics, .field, .fieldRemoval, .recording: false
        }
    }

    /// 0 goes first. What is shed when the box has no room is shed from the other end.
    public var rank: Int {
        switch self {
        case .detections: 0
        case .coverage: 1
        case .observations: 2
        case .analysis: 3
        case .upload: 4
        case .metrics: 5
        case .catalogue, .field, .fieldRemoval: 5
        case .recording: 6
        }
    }
}

/// Which sinks want what. The store writes their deliveries in the same transaction as the facts.
public struct DeliveryPlan: Sendable, Equatable {
    /// Names of sinks by what they are sent.
    public var sinks: [DeliveryKind: [String]]
    /// Whether facts stamped by a clock that was not set wait until ``StoreChange/clockIsSet(bootID:offsetNanoseconds:atNanoseconds:)``.
    public var holdsUnsynchronised: Bool

    /// Whether files without a detection stay here, because they are not kept at all.
    public var sendsOnlyDetected: Bool

    /// Whether files whose analysis failed are sent. Not where voices are to be silenced: nobody has listened for them.
    public var sendsUnheard: Bool

    public init(
        sinks: [DeliveryKind: [String]] = [:], holdsUnsynchronised: Bool = false, sendsOnlyDetected: Bool = false,
        sendsUnheard: Bool = true
    ) {
        self.sinks = sinks
        self.sendsOnlyDetected = sendsOnlyDetected
        self.sendsUnheard = sendsUnheard
        self.holdsUnsynchronised = holdsUnsynchronised
    }

    public static let nothing = DeliveryPlan()
}
