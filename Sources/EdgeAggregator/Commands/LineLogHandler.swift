import CEdgeSystem
import Foundation
import Logging

/// Writes a log line to standard error, as text or as JSON.
struct LineLogHandler: LogHandler {
    let label: String
    let isJSON: Bool
    var logLevel = Logger.Level.info
    var metadata = Logger.Metadata()

    init(label: String, isJSON: Bool) {
        self.label = label
        self.isJSON = isJSON
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        let time = ISOTime.text(edge_realtime_ns())
        let line: String
        if isJSON {
            var fields = ["time": time, "level": event.level.rawValue, "message": "\(event.message)"]
            for (key, value) in all { fields[key] = "\(value)" }
            let data = (try? JSONEncoder.sorted.encode(fields)) ?? Data()
            line = String(decoding: data, as: UTF8.self)
        } else {
            // A peer's text may stand here: no line of its own for it.
            let details = all.map { " \($0.key)=\("\($0.value)".debugDescription)" }.joined()
            line = "\(time) \(event.level.rawValue) \(event.message)\(details)"
        }
        FileHandle.standardError.write(Data((line + "\n").utf8))
    }
}

extension JSONEncoder {
    fileprivate static let sorted: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }()
}
