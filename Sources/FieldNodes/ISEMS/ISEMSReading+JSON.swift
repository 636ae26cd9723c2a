import Foundation

extension ISEMSReading {
    /// The JSON form: an object with the numbers by the collector's names, mostly without id and time; they come from the
    /// topic or path, and from the arrival.
    ///
    /// - Parameter arrivalSeconds: UTC, for an object without a time.
    public init(json bytes: [UInt8], nodeID given: String, arrivalSeconds: Int64) throws(RejectedLine) {
        let text = String(decoding: bytes.prefix(RejectedLine.longestScalars), as: UTF8.self)
        guard bytes.count <= 65_536, let parsed = try? JSONSerialization.jsonObject(with: Data(bytes)),
            let object = parsed as? [String: Any]
        else { throw RejectedLine(text, "it is not a JSON object") }
        if let own = object["nodeId"] {
            guard let own = own as? String, own == given else {
                throw RejectedLine(text, "its nodeId is not `\(given)`, under which it came")
            }
        }
        var values = [Double](repeating: .nan, count: Field.allCases.count)
        for field in Field.allCases {
            guard let value = object["\(field)"], !(value is NSNull) else { continue }
            let number: Double?
            if field == .status {
                number = try? Self.status((value as? String)?.stripped ?? "?")
            } else if let value = value as? NSNumber {
                number = value.doubleValue
            } else {
                number = (value as? String).flatMap { Double($0.stripped) }
            }
            guard let number else { throw RejectedLine(text, "its \(field) makes no sense") }
            values[field.rawValue] = number.isFinite ? number : .nan
        }
        let save = Field.isPowerSaveMode.rawValue
        if !values[save].isNaN { values[save] = values[save] == 1 ? 1 : 0 }
        guard values.contains(where: { !$0.isNaN }) else { throw RejectedLine(text, "it has none of a node's numbers") }
        self.init(
            nodeID: given, revision: Self.text(object["isemsRevision"]), timeSeconds: arrivalSeconds,
            firmware: Self.text(object["openMPPTFirmwareVersion"]), values: values)
        if let stamp = object["timestamp"], !(stamp is NSNull) {
            guard let seconds = Self.seconds(stamp) else { throw RejectedLine(text, "its timestamp makes no sense") }
            timeSeconds = seconds
        }
        try checkTime(text)
    }

    /// Whether it carries a time of its own.
    public static func hasTime(json bytes: [UInt8]) -> Bool {
        let object = (try? JSONSerialization.jsonObject(with: Data(bytes))) as? [String: Any]
        return object?["timestamp"].map { !($0 is NSNull) } ?? false
    }

    private static func text(_ value: Any?) -> String? {
        switch value {
        case let text as String: Self.text(text)
        case let number as NSNumber: "\(number)"
        default: nil
        }
    }

    private static func seconds(_ value: Any) -> Int64? {
        if let number = value as? NSNumber { return Int64(exactly: number.doubleValue.rounded(.down)) }
        guard let text = value as? String else { return nil }
        return Int64(text.stripped) ?? CivilTime.nanoseconds(isoText: text.stripped).map { $0 / 1_000_000_000 }
    }
}
