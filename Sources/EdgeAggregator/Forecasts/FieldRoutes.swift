import Forecasts
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import Store
import TextParts

/// `/v1/data/<type>`: values for a box or a place, as the drift models of the former system ask for them.
struct FieldRoutes: Sendable {
    let house: ForecastHouse
    let gate: QueryGate
    private var query: FieldQuery { FieldQuery(house: house) }

    private func kind(_ context: EdgeContext) throws -> ForecastKind? {
        ForecastKind(name: try context.parameters.require("type"))
    }

    private func unknownKind() throws -> Response {
        try Answer.problem(
            .notFound, "No such data",
            detail: "Data are \(ForecastKind.allCases.map(\.rawValue).joined(separator: ", "))")
    }

    private func bad(_ detail: String) throws -> Response {
        try Answer.problem(.badRequest, "Not understood", detail: detail)
    }

    private func nothing(_ kind: ForecastKind) throws -> Response {
        try Answer.problem(
            .notFound, "No data",
            detail: "No field of \(kind.rawValue) is kept for that place and time; see /api/v1/datasets")
    }

    /// `?min_lat&max_lat&min_lon&max_lon&start_time&end_time`, `format=netcdf` or `json`
    @Sendable
    func box(_ request: Request, _ context: EdgeContext) async throws -> Response {
        guard let kind = try kind(context) else { return try unknownKind() }
        let fields = Query(request)
        guard let south = try fields.number("min_lat", in: -90...90),
            let north = try fields.number("max_lat", in: -90...90),
            let west = try fields.number("min_lon", in: -360...360),
            let east = try fields.number("max_lon", in: -360...360)
        else { return try bad("min_lat, max_lat, min_lon and max_lon are needed, in degrees") }
        guard let box = GeoBox(minLatitude: south, maxLatitude: north, minLongitude: west, maxLongitude: east) else {
            return try bad("min_lat (\(south)) is above max_lat (\(north))")
        }
        let now = house.now()
        let from = try fields.time("start_time").map { $0 / 1_000_000_000 } ?? now
        let to = try fields.time("end_time").map { $0 / 1_000_000_000 } ?? from + 5 * CalendarTime.daySeconds
        guard from <= to else { return try bad("start_time is after end_time") }
        let format = fields.text("format") ?? ((request.headers[.accept] ?? "").holds("json") ? "json" : "netcdf")
        guard ["json", "netcdf"].contains(format) else { return try bad("format: `\(format)` is not json or netcdf") }
        guard let slot = await gate.enter() else { return try busy() }
        let series: FieldQuery.Series?
        do {
            series = try await query.box(kind, box, from: from, to: to)
        } catch let refused as FieldQuery.Refused {
            return try Answer.problem(.contentTooLarge, "Too much at once", detail: refused.description)
        }
        guard let series else { return try nothing(kind) }
        let bytes =
            format == "json"
            ? series.json()
            : try await withTaskExecutorPreference(house.archive.executor) { try series.netCDF(house) }
        var headers: HTTPFields = [
            .contentType: format == "json" ? "application/json" : "application/netcdf", .cacheControl: "no-store",
        ]
        if format == "netcdf" { headers[.contentDisposition] = "attachment; filename=\"\(kind.rawValue).nc\"" }
        let buffer = ByteBuffer(bytes: bytes)
        let body = ResponseBody(contentLength: buffer.readableBytes) { writer in
            try await writer.write(buffer)
            try await writer.finish(nil)
            // Held until the answer is on its way, or is given up.
            withExtendedLifetime(slot) {}
        }
        return Response(status: .ok, headers: headers, body: body)
    }

    private func busy() throws -> Response {
        var response = try Answer.problem(
            .serviceUnavailable, "Too many at once", detail: "Other questions for fields are being answered; ask again")
        response.headers[.retryAfter] = "1"
        return response
    }

    struct Place: Encodable {
        let dataType: String
        let source: String
        let latitude: Double
        let longitude: Double
        let units: [String: String]
        let values: [Value]

        struct Value: Encodable {
            let time: String
            let forecastReferenceTime: String
            let values: [String: Double?]

            enum Key: CodingKey { case time, forecastReferenceTime }

            struct Name: CodingKey {
                let stringValue: String
                var intValue: Int? { nil }
                init(stringValue: String) { self.stringValue = stringValue }
                init?(intValue: Int) { nil }
            }

            func encode(to encoder: any Encoder) throws {
                var container = encoder.container(keyedBy: Key.self)
                try container.encode(time, forKey: .time)
                try container.encode(forecastReferenceTime, forKey: .forecastReferenceTime)
                var rest = encoder.container(keyedBy: Name.self)
                for (name, value) in values { try rest.encode(value, forKey: Name(stringValue: name)) }
            }
        }
    }

    /// `?lat&lon&time`, or `start_time` and `end_time` for every field between them.
    @Sendable
    func place(_ request: Request, _ context: EdgeContext) async throws -> Response {
        guard let kind = try kind(context) else { return try unknownKind() }
        let fields = Query(request)
        guard let latitude = try fields.number("lat", in: -90...90),
            let longitude = try fields.number("lon", in: -360...360)
        else { return try bad("lat and lon are needed, in degrees") }
        let time = try fields.time("time").map { $0 / 1_000_000_000 }
        let from = try fields.time("start_time").map { $0 / 1_000_000_000 } ?? time ?? house.now()
        let to = try fields.time("end_time").map { $0 / 1_000_000_000 } ?? from
        guard from <= to else { return try bad("start_time is after end_time") }
        guard let slot = await gate.enter() else { return try busy() }
        defer { withExtendedLifetime(slot) {} }
        let found: [FieldQuery.PlaceValue]
        do {
            found = try await query.place(kind, latitude: latitude, longitude: longitude, from: from, to: to)
        } catch let refused as FieldQuery.Refused {
            return try Answer.problem(.contentTooLarge, "Too much at once", detail: refused.description)
        }
        guard !found.isEmpty else { return try nothing(kind) }
        let names = kind.variables.map(\.name)
        return try Answer.json(
            Place(
                dataType: kind.rawValue, source: kind.source, latitude: latitude, longitude: longitude,
                units: Dictionary(uniqueKeysWithValues: kind.variables.map { ($0.name, $0.unit) }),
                values: found.map { value in
                    Place.Value(
                        time: CalendarTime.text(value.seconds), forecastReferenceTime: CalendarTime.text(value.run),
                        values: Dictionary(uniqueKeysWithValues: zip(names, value.values)))
                }))
    }
}
