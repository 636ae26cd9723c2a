import TextParts

/// What an ISEMS solar node says of itself at a moment: a line of CSV (revision 1, separated by semicolons, 18 or 19
/// fields), or the JSON form of later nodes.
public struct ISEMSReading: Sendable, Equatable {
    public var nodeID: String
    /// Of the format: `1`. Nil when the node has not sent any.
    public var revision: String?
    /// UTC, seconds since 1970.
    public var timeSeconds: Int64
    /// Nil when the node has not sent any.
    public var firmware: String?
    /// By ``Field``; NaN for what is missing.
    public var values: [Double]

    /// The numbers, in the order in which they are kept.
    public enum Field: Int, CaseIterable, Sendable {
        case timeToShutdown, isPowerSaveMode, openCircuitVoltage, mppVoltage, batteryVoltage, batteryChargeEstimate
        case batteryHealthEstimate, batteryTemperature, lowVoltageDisconnectVoltage, temperatureCorrectedVoltage
        case rateBatteryCapacity, ratedSolarModuleCapacity, latitude, longitude, status

        /// Its quantity and unit among observations.
        public var quantity: (name: String, unit: String) {
            switch self {
            case .timeToShutdown: ("time_to_shutdown", "min")
            case .isPowerSaveMode: ("power_save", "")
            case .openCircuitVoltage: ("open_circuit_voltage", "V")
            case .mppVoltage: ("mpp_voltage", "V")
            case .batteryVoltage: ("battery_voltage", "V")
            case .batteryChargeEstimate: ("battery", "%")
            case .batteryHealthEstimate: ("battery_health", "%")
            case .batteryTemperature: ("battery_temperature", "°C")
            case .lowVoltageDisconnectVoltage: ("low_voltage_disconnect", "V")
            case .temperatureCorrectedVoltage: ("temperature_corrected_voltage", "V")
            case .rateBatteryCapacity: ("battery_capacity", "Ah")
            case .ratedSolarModuleCapacity: ("module_capacity", "W")
            case .latitude: ("latitude", "°")
            case .longitude: ("longitude", "°")
            case .status: ("status", "")
            }
        }
    }

    public static let layout = Field.allCases.map(\.quantity)

    public subscript(_ field: Field) -> Double { values[field.rawValue] }

    public init(nodeID: String, revision: String?, timeSeconds: Int64, firmware: String?, values: [Double]) {
        self.nodeID = nodeID
        self.revision = revision
        self.timeSeconds = timeSeconds
        self.firmware = firmware
        self.values = values
    }

    /// Before its first measurement a node sends zeros, with the time 0.
    public static let earliestSeconds: Int64 = 1_000_000_000
    public static let latestSeconds: Int64 = 7_258_118_400

    /// Field 5 and those from 7 on, in the line's order.
    private static let numbers: [(column: Int, field: Field)] = [
        (4, .timeToShutdown), (6, .openCircuitVoltage), (7, .mppVoltage), (8, .batteryVoltage),
        (9, .batteryChargeEstimate), (10, .batteryHealthEstimate), (11, .batteryTemperature),
        (12, .lowVoltageDisconnectVoltage), (13, .temperatureCorrectedVoltage), (14, .rateBatteryCapacity),
        (15, .ratedSolarModuleCapacity), (16, .latitude), (17, .longitude),
    ]

    /// - Parameter line: without its line feed; a carriage return at its end is let pass.
    public init(line: Substring) throws(RejectedLine) {
        // By scalars: a mark that combines with the separator before it must not hide it.
        let fields = line.unicodeScalars.split(separator: ";", omittingEmptySubsequences: false).map { Substring($0) }
        guard fields.count == 18 || fields.count == 19 else {
            throw RejectedLine(line, "it has \(fields.count) fields, not 18 or 19")
        }
        guard let id = NodeID(.isems, fields[0].stripped) else { throw RejectedLine(line, "the node's id is none") }
        let stamp = fields[2].stripped
        guard let seconds = Int64(stamp) ?? Double(stamp).flatMap({ Int64(exactly: $0.rounded(.down)) }) else {
            throw RejectedLine(line, "`\(stamp)` is not a time")
        }
        var values = [Double](repeating: .nan, count: Field.allCases.count)
        for (column, field) in Self.numbers {
            let text = fields[column].stripped
            if text.isEmpty { continue }
            guard let value = Decimal.value(text) else { throw RejectedLine(line, "`\(text)` is not a number") }
            values[field.rawValue] = value.isFinite ? value : .nan
        }
        values[Field.isPowerSaveMode.rawValue] = fields[5].stripped == "1" ? 1 : 0
        if fields.count == 19 {
            do {
                values[Field.status.rawValue] = try Self.status(fields[18].stripped)
            } catch {
                throw RejectedLine(line, "`\(fields[18].stripped)` is not a status")
            }
        }
        self.init(
            nodeID: id.text, revision: Self.text(fields[1]), timeSeconds: seconds, firmware: Self.text(fields[3]),
            values: values)
        try checkTime(line)
    }

    /// Text as the node sent it, at most ``maximumScalars`` Unicode scalars: neither trimmed nor, when it is empty, taken for none.
    static func text(_ field: some StringProtocol) -> String {
        String(String.UnicodeScalarView(field.unicodeScalars.prefix(maximumScalars)))
    }

    /// Unicode scalars of ``revision`` and ``firmware``.
    static let maximumScalars = 256

    func checkTime(_ line: some StringProtocol) throws(RejectedLine) {
        guard (Self.earliestSeconds..<Self.latestSeconds).contains(timeSeconds) else {
            throw RejectedLine(line, "its time \(timeSeconds) is of a clock that was not set")
        }
    }

    struct NotAStatus: Error {}

    /// Hexadecimal, with or without `0x`; NaN for none.
    static func status(_ text: some StringProtocol) throws(NotAStatus) -> Double {
        if text.isEmpty { return .nan }
        let digits = text.hasPrefix("0x") || text.hasPrefix("0X") ? String(text.dropFirst(2)) : String(text)
        guard let value = UInt32(digits, radix: 16) else { throw NotAStatus() }
        return Double(value)
    }

    /// The lines of a batch: those that can be read, and those that cannot. Neither holds up the other.
    public static func all(
        _ text: some StringProtocol
    ) -> (readings: [ISEMSReading], rejected: [RejectedLine]) {
        var readings: [ISEMSReading] = []
        var rejected: [RejectedLine] = []
        for line in Substring(text).withoutByteOrderMark.lines() {
            let line = Substring(line)
            if line.allSatisfy(\.isWhitespace) { continue }
            do throws(RejectedLine) {
                readings.append(try ISEMSReading(line: line))
            } catch {
                rejected.append(error)
            }
        }
        return (readings, rejected)
    }

    /// Whether an answer is a page for people and no log.
    public static func isPage(_ bytes: some Collection<UInt8>) -> Bool {
        bytes.first { !($0 == 0x20 || (0x09...0x0D).contains($0)) } == UInt8(ascii: "<")
    }
}

extension StringProtocol {
    /// Without the white space at its ends.
    var stripped: Substring {
        let isSpace: (UInt8) -> Bool = { $0 == 0x20 || (0x09...0x0D).contains($0) }
        let rest = Substring(self)
        guard let first = rest.utf8.first, let last = rest.utf8.last, isSpace(first) || isSpace(last) else {
            return rest
        }
        let front = rest.utf8.drop(while: isSpace)
        guard let end = front.lastIndex(where: { !isSpace($0) }) else { return "" }
        return Substring(front[...end])
    }
}
