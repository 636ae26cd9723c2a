import Foundation
import Hummingbird
import Store
import TextParts

/// `GET /api/v1/detections`, as JSON or CSV.
struct DetectionResources: Sendable {
    let store: Store

    struct Detection: Encodable {
        let id: Int64
        let listener: String
        let recording: String
        let startAt: String
        let endAt: String
        let offsetSeconds: Double
        let scientificName: String
        let commonName: String
        let label: String
        let confidence: Double
        let timeQuality: String
        let model: String
        let modelSha256: String
        let libraryVersion: String
        let librarySha256: String

        init(_ row: DetectionRecord, models: [Int64: ModelRecord]) {
            id = row.id ?? 0
            listener = row.listenerID
            recording = row.recordingName
            startAt = ISOTime.text(row.startNanoseconds)
            endAt = ISOTime.text(row.endNanoseconds)
            offsetSeconds = row.offsetSeconds
            scientificName = row.scientificName
            commonName = row.commonName
            label = row.label
            confidence = row.confidence
            timeQuality = row.timeQuality
            let model = models[row.modelID]
            self.model = model?.name ?? ""
            modelSha256 = model?.modelSHA256 ?? ""
            libraryVersion = model?.libraryVersion ?? ""
            librarySha256 = model?.librarySHA256 ?? ""
        }

        static let csvHead = [
            "id", "listener", "recording", "start_at", "end_at", "offset_seconds", "scientific_name", "common_name",
            "confidence", "time_quality", "model", "model_sha256", "library_sha256",
        ]

        var csv: [String] {
            [
                "\(id)", listener, recording, startAt, endAt, "\(offsetSeconds)", scientificName, commonName,
                "\(confidence)", timeQuality, model, modelSha256, librarySha256,
            ]
        }
    }

    @Sendable
    func list(_ request: Request, _ context: EdgeContext) async throws -> Response {
        struct Page: Encodable {
            let detections: [Detection]
            let next: Int64?
        }
        let query = Query(request)
        var filter = DetectionFilter()
        filter.listener = query.text("listener")
        filter.species = query.text("species")
        filter.recording = query.text("recording")
        filter.leastConfidence = try query.number("min_confidence", in: 0...1)
        filter.fromNanoseconds = try query.time("from")
        filter.toNanoseconds = try query.time("to")
        filter.beforeID = try query.int64("cursor")
        filter.limit = try query.limit()
        let models = Dictionary(uniqueKeysWithValues: try await store.models().map { ($0.id, $0) })
        let detections = try await store.detections(filter).map { Detection($0, models: models) }
        let isCSV = query.text("format") == "csv" || request.headers[.accept]?.holds("text/csv") == true
        guard !isCSV else {
            let lines = [CSV.line(Detection.csvHead)] + detections.map { CSV.line($0.csv) }
            return Answer.text(lines.joined(), type: "text/csv; charset=utf-8")
        }
        let next = detections.count == filter.limit ? detections.last?.id : nil
        return try Answer.json(Page(detections: detections, next: next))
    }
}

/// Comma-separated values (RFC 4180).
enum CSV {
    static func line(_ fields: [String]) -> String {
        fields.map { field in
            field.utf8.contains { ",\"\r\n".utf8.contains($0) }
                ? "\"\(field.replacingText("\"", with: "\"\""))\"" : field
        }.joined(separator: ",") + "\r\n"
    }
}
