import Hummingbird
import Sensors

/// `GET /api/v1/sensors`.
struct SensorResources: Sendable {
    let service: SensorService

    struct Sensor: Encodable {
        struct Value: Encodable {
            let value: Double
            let raw: Double?
            let unit: String
        }

        let name: String
        let kind: String
        let place: String
        /// `warming`, `ok`, `stale`, `absent` or `faulty`.
        let state: String
        let reason: String?
        let failures: Int
        let readings: Int64
        let lastReadingAt: String?
        let values: [String: Value]

        init(_ reading: SensorService.Reading) {
            name = reading.name
            kind = reading.kind
            place = reading.place
            state = reading.state.rawValue
            reason = reading.reason
            failures = reading.failures
            readings = reading.readingsTotal
            lastReadingAt = reading.lastNanoseconds.map(ISOTime.text)
            values = Dictionary(
                uniqueKeysWithValues: reading.quantities.map {
                    ($0.name, Value(value: $0.value, raw: $0.raw, unit: $0.unit))
                })
        }
    }

    @Sendable
    func list(_ request: Request, _ context: EdgeContext) async throws -> Response {
        struct Page: Encodable { let sensors: [Sensor] }
        return try Answer.json(Page(sensors: service.readings.map(Sensor.init)))
    }
}
