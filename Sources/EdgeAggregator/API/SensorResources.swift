import Hummingbird
import Sensors

/// `GET /api/v1/sensors`.
struct SensorResources: Sendable {
    let service: SensorService

    struct Sensor: Codable {
        struct Value: Codable {
            let value: Double
            let raw: Double?
            let unit: String
        }

        let name: String
        let kind: String
        let place: String
        /// What the device says that it is, such as its serial number.
        let identity: String?
        /// `warming`, `ok`, `stale`, `absent` or `faulty`.
        let state: String
        let reason: String?
        let failures: Int
        let readings: Int64
        let lastReadingAt: String?
        /// Of a line: edges that counted, and edges that the kernel could not keep.
        let edges: Int64?
        let missedEdges: Int64?
        let values: [String: Value]

        init(_ reading: SensorService.Reading) {
            name = reading.name
            kind = reading.kind
            place = reading.place
            identity = reading.identity
            state = reading.state.rawValue
            reason = reading.reason
            failures = reading.failures
            readings = reading.readingsTotal
            lastReadingAt = reading.lastNanoseconds.map(ISOTime.text)
            edges = reading.edges
            missedEdges = reading.missedEdges
            values = Dictionary(
                reading.quantities.map { ($0.name, Value(value: $0.value, raw: $0.raw, unit: $0.unit)) },
                uniquingKeysWith: { $1 })
        }
    }

    @Sendable
    func list(_ request: Request, _ context: EdgeContext) async throws -> Response {
        struct Page: Encodable { let sensors: [Sensor] }
        return try Answer.json(Page(sensors: service.readings.map(Sensor.init)))
    }

    /// `?co2=420`: the sensor has been for minutes in air of so many ppm, and takes them for its measure.
    @Sendable
    func recalibrate(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let name = try context.parameters.require("name")
        guard let co2 = try Query(request).number("co2", in: 1...1_000_000) else {
            throw QueryError(name: "co2", found: "", wanted: "a number of ppm")
        }
        guard let result = await service.recalibrate(name, co2PPM: Int(co2)) else {
            return try Answer.problem(.notFound, "No such sensor", detail: "See /api/v1/sensors")
        }
        if case .failure(let error) = result {
            return try Answer.problem(.conflict, "It was not recalibrated", detail: "\(name): \(error)")
        }
        struct Done: Encodable {
            let name: String
            let co2Ppm: Int
        }
        return try Answer.json(Done(name: name, co2Ppm: Int(co2)))
    }
}
