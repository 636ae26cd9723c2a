/// How a PiWardrive unit was at a moment: a row of its `health_records`.
public struct UnitHealth: Sendable, Equatable {
    /// As the unit wrote it: its identity, together with the unit.
    public var timestamp: String
    /// The unit's local time, taken as it stands, in nanoseconds since 1970.
    public var timeNanoseconds: Int64
    /// Degrees Celsius, then percent of CPU, memory and disk; NaN for what is missing.
    public var values: [Double]

    public static let layout: [(name: String, unit: String)] = [
        ("cpu_temperature", "°C"), ("cpu", "%"), ("memory", "%"), ("disk", "%"),
    ]

    /// A row that cannot be taken: its timestamp is no date, or of a clock that was not set.
    public struct Rejected: Error, Sendable, Equatable {
        /// As the unit wrote it, at most 64 Unicode scalars; empty where there is none.
        public let timestamp: String

        public init(timestamp: String?) {
            self.timestamp = String(String.UnicodeScalarView((timestamp ?? "").unicodeScalars.prefix(64)))
        }
    }

    /// Nil when the timestamp is none.
    public init?(timestamp: String, temperature: Double?, cpu: Double?, memory: Double?, disk: Double?) {
        guard timestamp.utf8.count <= 64, let time = CivilTime.nanoseconds(isoText: timestamp),
            time > ISEMSReading.earliestSeconds * 1_000_000_000
        else { return nil }
        self.timestamp = timestamp
        timeNanoseconds = time
        values = [temperature, cpu, memory, disk].map { $0.flatMap { $0.isFinite ? $0 : nil } ?? .nan }
    }
}

/// A Wi-Fi access point that a unit has seen: a row of its `ap_cache`.
public struct AccessPoint: Sendable, Equatable {
    public var bssid: String
    public var ssid: String
    public var encryption: String
    /// Both, or neither: without a fix there is none.
    public var place: Place?
    /// UTC, seconds since 1970.
    public var seenSeconds: Int64?

    public struct Place: Sendable, Hashable {
        public let latitude: Double
        public let longitude: Double

        /// Nil outside of the Earth's surface.
        public init?(_ latitude: Double?, _ longitude: Double?) {
            guard let latitude, let longitude, (-90...90).contains(latitude), (-180...180).contains(longitude) else {
                return nil
            }
            self.latitude = latitude
            self.longitude = longitude
        }
    }

    /// Nil without a name.
    public init?(
        bssid: String, ssid: String, encryption: String, latitude: Double?, longitude: Double?, seenSeconds: Int64?
    ) {
        guard (1...64).contains(bssid.utf8.count) else { return nil }
        self.bssid = bssid
        self.ssid = String(ssid.prefix(64))
        self.encryption = String(encryption.prefix(64))
        place = Place(latitude, longitude)
        self.seenSeconds = seenSeconds
    }
}
