import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import ServiceLifecycle
import Store

/// `GET /events`: detections and recordings as they come (server-sent events, WHATWG HTML §9.2).
struct EventResource: Sendable {
    let events: EventHub

    @Sendable
    func stream(_ request: Request, _ context: EdgeContext) async throws -> Response {
        guard let subscription = events.subscribe() else {
            return try Answer.problem(
                .serviceUnavailable, "Too many subscribers",
                detail: "At most \(events.longestSubscribers) may listen at a time")
        }
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
            body: ResponseBody { writer in
                try await writer.write(ByteBuffer(string: ": connected\n\n"))
                for await event in subscription {
                    try await writer.write(ByteBuffer(string: event.wireText))
                }
                try await writer.finish(nil)
            })
    }
}

extension EventHub.Event {
    /// Says nothing; it keeps connections alive, and finds those that are gone.
    static let heartbeat = EventHub.Event(name: "", data: "")

    static func recording(listener: String, name: String) -> EventHub.Event {
        EventHub.Event(name: "recording", data: #"{"listener":"\#(listener)","name":"\#(name)"}"#)
    }

    var wireText: String { name.isEmpty ? ": still here\n\n" : "event: \(name)\ndata: \(data)\n\n" }
}

extension EventHub {
    private struct DetectionEvent: Encodable {
        let listener, recording, startAt, scientificName, commonName: String
        let confidence: Double
        let timeQuality: String
    }

    func recordingClosed(_ closing: RecordingClosing) {
        publish(.recording(listener: closing.recording.identity.listener.text, name: closing.recording.name))
    }

    func detections(_ records: [DetectionRecord]) {
        guard subscriberCount > 0 else { return }
        for record in records {
            let event = DetectionEvent(
                listener: record.listenerID, recording: record.recordingName,
                startAt: ISOTime.text(record.startNanoseconds), scientificName: record.scientificName,
                commonName: record.commonName, confidence: record.confidence, timeQuality: record.timeQuality)
            guard let data = try? Answer.encoder.encode(event) else { continue }
            publish(Event(name: "detection", data: String(decoding: data, as: UTF8.self)))
        }
    }
}
