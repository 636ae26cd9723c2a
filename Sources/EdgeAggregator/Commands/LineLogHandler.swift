import CEdgeSystem
import Foundation
import Logging
import TextParts

/// Writes a log line to standard error, as text or as JSON, or to the system's journal with its fields. What does not go to the journal
/// goes to the daemon's ``LogFile`` too. Passwords in addresses are hidden, whoever logs them.
struct LineLogHandler: LogHandler {
    enum Format: String, Sendable { case text, json, journal }

    let label: String
    let format: Format
    var metadata = Logger.Metadata()

    /// The program's, which can change while it runs (``LogLevel``).
    var logLevel: Logger.Level {
        get { LogLevel.current }
        nonmutating set {}
    }

    init(label: String, format: Format) {
        self.label = label
        self.format = format
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        let details = all.map { ($0.key, "\($0.value)".hidingPasswords) }
        let message = "\(event.message)".hidingPasswords
        if format == .journal,
            JournalEntry(level: event.level, message: message + Self.text(details), details: details).send()
        {
            return
        }
        let time = ISOTime.text(edge_realtime_ns())
        let line: String
        if format == .json {
            var fields = ["time": time, "level": event.level.rawValue, "message": message]
            for (key, value) in details { fields[key] = value }
            let data = (try? JSONEncoder.sorted.encode(fields)) ?? Data()
            line = String(decoding: data, as: UTF8.self)
        } else {
            // A peer's text may stand here: no line of its own for it.
            line = "\(time) \(event.level.rawValue) \(message)\(Self.text(details))"
        }
        FileHandle.standardError.write(Data((line + "\n").utf8))
        LogFile.current?.write(line)
    }

    static func text(_ details: [(String, String)]) -> String {
        details.map { " \($0.0)=\($0.1.debugDescription)" }.joined()
    }
}

/// One entry of the journal in its native form ("Native Journal Protocol" of systemd): a field a line, or, where a value has
/// lines of its own, its name, its length in 8 bytes and its bytes.
struct JournalEntry {
    static let socket = "/run/systemd/journal/socket"

    private(set) var bytes: [UInt8] = []

    init(level: Logger.Level, message: String, details: [(String, String)]) {
        add("MESSAGE", message)
        add("PRIORITY", "\(Self.priority(level))")
        add("SYSLOG_IDENTIFIER", "edge-aggregator")
        for (key, value) in details.prefix(32) { add("EDGE_\(Self.name(key))", value) }
    }

    /// Memory: the path and the bytes are borrowed for the call, which hands a copy to the kernel.
    func send() -> Bool {
        unsafe bytes.withUnsafeBytes { unsafe edge_datagram(Self.socket, $0.baseAddress, $0.count) } == 0
    }

    /// Memory: the eight bytes of the length are borrowed within the closure and copied.
    private mutating func add(_ name: String, _ value: String) {
        let value = Array(value.utf8)
        bytes += Array(name.utf8)
        if value.contains(UInt8(ascii: "\n")) {
            bytes.append(UInt8(ascii: "\n"))
            unsafe bytes += withUnsafeBytes(of: UInt64(value.count).littleEndian, Array.init)
        } else {
            bytes.append(UInt8(ascii: "="))
        }
        bytes += value
        bytes.append(UInt8(ascii: "\n"))
    }

    /// Capitals, digits and underscores, at most 64 with the prefix.
    private static func name(_ key: String) -> String {
        String(
            decoding: key.uppercased().utf8.prefix(59).map { byte -> UInt8 in
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): byte
                default: UInt8(ascii: "_")
                }
            }, as: UTF8.self)
    }

    /// syslog(3).
    private static func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}

extension JSONEncoder {
    fileprivate static let sorted: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }()
}
