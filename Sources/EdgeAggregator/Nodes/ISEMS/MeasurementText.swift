import FieldNodes
import Store
import Uplink

/// A node's reading as the former collector tells it: compact JSON, keys in order, floats with a point.
struct MeasurementText: Sendable {
    let timestamps: ISEMSSettings.Timestamps

    func add(_ reading: ReadingRecord, to bytes: inout [UInt8]) {
        func value(_ field: ISEMSReading.Field) -> Double { reading.numbers[field.rawValue] }
        let texts = ISEMSReading.texts(stored: reading.text)
        add("{\"batteryChargeEstimate\":", value(.batteryChargeEstimate), &bytes)
        add(",\"batteryHealthEstimate\":", value(.batteryHealthEstimate), &bytes)
        add(",\"batteryTemperature\":", value(.batteryTemperature), &bytes)
        add(",\"batteryVoltage\":", value(.batteryVoltage), &bytes)
        bytes += Array(",\"id\":\(reading.id),\"isPowerSaveMode\":".utf8)
        let saves = value(.isPowerSaveMode)
        bytes += Array((saves.isNaN ? "null" : saves == 1 ? "true" : "false").utf8)
        add(",\"isemsRevision\":", texts.revision, &bytes)
        add(",\"latitude\":", value(.latitude), &bytes)
        add(",\"longitude\":", value(.longitude), &bytes)
        add(",\"lowVoltageDisconnectVoltage\":", value(.lowVoltageDisconnectVoltage), &bytes)
        add(",\"mppVoltage\":", value(.mppVoltage), &bytes)
        bytes += Array(",\"nodeId\":".utf8)
        PythonText.addJSON(reading.key.name, to: &bytes)
        add(",\"openCircuitVoltage\":", value(.openCircuitVoltage), &bytes)
        add(",\"openMPPTFirmwareVersion\":", texts.firmware, &bytes)
        add(",\"rateBatteryCapacity\":", value(.rateBatteryCapacity), &bytes)
        add(",\"ratedSolarModuleCapacity\":", value(.ratedSolarModuleCapacity), &bytes)
        bytes += Array(",\"status\":\"\(Self.status(value(.status)))\"".utf8)
        add(",\"temperatureCorrectedVoltage\":", value(.temperatureCorrectedVoltage), &bytes)
        add(",\"timeToShutdown\":", value(.timeToShutdown), &bytes)
        bytes += Array(",\"timestamp\":\"\(timestamp(reading.timeNanoseconds / 1_000_000_000))\"}".utf8)
    }

    private func timestamp(_ seconds: Int64) -> String {
        switch timestamps {
        case .berlin: BerlinTime.text(seconds: seconds)
        case .utc: CivilTime.text(seconds: seconds) + "Z"
        }
    }

    /// `0x300`: three digits at least.
    private static func status(_ value: Double) -> String {
        let number = value.isFinite && value >= 0 && value <= Double(UInt32.max) ? UInt32(value) : 0
        let digits = String(number, radix: 16)
        return "0x" + String(repeating: "0", count: max(0, 3 - digits.count)) + digits
    }

    /// Memory: the text is this function's; its bytes are copied within the closure.
    private func add(_ name: StaticString, _ value: Double, _ bytes: inout [UInt8]) {
        add(name, &bytes)
        // Neither NaN nor infinity has a form in JSON.
        var text = value.isFinite ? PythonText.number(value) : "null"
        text.withUTF8 { unsafe bytes.append(contentsOf: $0) }
    }

    private func add(_ name: StaticString, _ value: String?, _ bytes: inout [UInt8]) {
        add(name, &bytes)
        if let value {
            PythonText.addJSON(value, to: &bytes)
        } else {
            bytes += Array("null".utf8)
        }
    }

    /// Memory: the name is a constant of the program; its bytes are copied within the closure.
    private func add(_ name: StaticString, _ bytes: inout [UInt8]) {
        name.withUTF8Buffer { unsafe bytes.append(contentsOf: $0) }
    }
}
