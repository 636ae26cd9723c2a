import CEdgeSystem
import Foundation
import Logging
import Synchronization

/// The newest lines of the log in two files, for a daemon whose log does not go to the system's journal, as in a container. The support
/// bundle takes them along.
///
/// Lines go to `edge-aggregator.log`. When that file holds half of the maximum, it is renamed to `edge-aggregator.log.1`, which replaces
/// the previous one, and a new file is begun. Lines that cannot be written are counted, and the next line that can be written is
/// preceded by their number. Writing never throws and never waits for a sync.
final class LogFile: Sendable {
    static let name = "edge-aggregator.log"
    /// Smaller maxima than this count as this.
    static let minimumBytes = 65_536

    private struct State {
        var descriptor: Int32 = -1
        var bytes = 0
        var missingLines = 0
        /// Why the last line is missing.
        var reason = ""
        /// After a failure nothing is tried before this moment.
        var retryTime: ContinuousClock.Instant?
    }

    /// The running daemon's; nil without one.
    private static let place = Mutex<LogFile?>(nil)
    static var current: LogFile? { place.withLock { $0 } }

    let path: String
    private let maximumFileBytes: Int
    private let permit: DiskPermit?
    private let retryDelay: Duration
    private let state = Mutex(State())

    /// - Parameters:
    ///   - folder: It is made with the first line.
    ///   - maximumBytes: Of both files together.
    ///   - permit: Asked before each line; nil to write regardless of what the disk has left.
    ///   - retryDelay: How long nothing is tried after a failure.
    init(folder: String, maximumBytes: Int, permit: DiskPermit? = nil, retryDelay: Duration = .seconds(10)) {
        path = "\(folder)/\(Self.name)"
        maximumFileBytes = max(maximumBytes, Self.minimumBytes) / 2
        self.permit = permit
        self.retryDelay = retryDelay
    }

    deinit {
        let descriptor = state.withLock { $0.descriptor }
        if descriptor >= 0 { close(descriptor) }
    }

    static func folder(in baseFolder: String) -> String { "\(baseFolder)/logs" }

    /// From here on the program's log is kept in a file too, if the settings say so.
    static func begin(_ settings: Settings) {
        guard settings.box.logFileBytes > 0 else { return }
        let folder = Self.folder(in: settings.box.baseFolder)
        // The guard's own log lines would come back here.
        let silent = Logger(label: "edge-aggregator") { _ in SwiftLogNoOpLogHandler() }
        let permit = DiskGuard(settings, logger: silent).permit(for: .nodeData, at: folder)
        let file = LogFile(folder: folder, maximumBytes: settings.box.logFileBytes, permit: permit)
        place.withLock { $0 = file }
    }

    /// The lines of both files, the oldest first; nil if there is neither.
    static func text(in folder: String) -> String? {
        let parts = ["\(folder)/\(name).1", "\(folder)/\(name)"].compactMap {
            FileManager.default.contents(atPath: $0)
        }
        return parts.isEmpty ? nil : String(decoding: parts.joined(), as: UTF8.self)
    }

    /// Adds a line. One that is longer than a file may be is cut.
    func write(_ line: String) {
        state.withLock { state in
            if let retryTime = state.retryTime, ContinuousClock.now < retryTime {
                state.missingLines += 1
                return
            }
            do {
                if state.missingLines > 0 {
                    try append(
                        "\(ISOTime.text(edge_realtime_ns())) warning \(state.missingLines) lines of the log are missing here: \(state.reason)",
                        &state)
                    state.missingLines = 0
                }
                try append(line, &state)
                state.retryTime = nil
            } catch {
                state.missingLines += 1
                state.reason = "\(error)"
                state.retryTime = .now + retryDelay
                closeFile(&state)
            }
        }
    }

    /// Memory: the bytes and the paths are borrowed for the calls.
    private func append(_ line: String, _ state: inout State) throws(SegmentError) {
        var bytes = Array(line.utf8.prefix(maximumFileBytes - 1))
        bytes.append(UInt8(ascii: "\n"))
        try permit?.take(bytes.count, path: path)
        if state.descriptor < 0 { try openFile(&state) }
        if state.bytes + bytes.count > maximumFileBytes {
            closeFile(&state)
            guard unsafe rename(path, "\(path).1") == 0 else {
                throw SegmentError(.create, path: "\(path).1", errnoValue: errno)
            }
            try openFile(&state)
        }
        var start = 0
        while start < bytes.count {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Foundation.write(state.descriptor, $0.baseAddress?.advanced(by: start), bytes.count - start)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw SegmentError(.write, path: path, errnoValue: count < 0 ? errno : EIO) }
            start += count
            state.bytes += count
        }
    }

    /// Memory: the path and the status are borrowed for the calls.
    private func openFile(_ state: inout State) throws(SegmentError) {
        let folder = (path as NSString).deletingLastPathComponent
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw SegmentError(.create, path: path, errnoValue: errno) }
        var status = EdgeFileStatus()
        state.bytes = unsafe edge_fstat(descriptor, &status) == 0 ? Int(status.size_bytes) : 0
        state.descriptor = descriptor
    }

    private func closeFile(_ state: inout State) {
        if state.descriptor >= 0 { close(state.descriptor) }
        state.descriptor = -1
    }
}
