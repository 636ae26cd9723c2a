import Foundation
import Logging
import TextParts

/// Counts starts that soon came to a bad end, in a small file beside the database, and says when the daemon had better begin in
/// safe mode: it then receives and stores, and leaves analysis, deliveries and forecasts alone.
struct StartGuard: Sendable {
    enum Mode: Equatable, Sendable {
        case normal
        case safe
    }

    /// Starts in a row that did not last, after which the next one is safe; 0 for never.
    let mostBadStarts: Int
    private let path: String
    private let bootID: String

    /// - Parameter bootID: of the machine's present life. Starts of another life do not count: power that comes and goes is no
    ///   fault of the daemon's.
    init(baseFolder: String, mostBadStarts: Int, bootID: String) {
        path = "\(baseFolder)/starts"
        self.mostBadStarts = mostBadStarts
        self.bootID = bootID
    }

    /// Bad starts in a row until now. What cannot be read counts as none.
    var badStarts: Int {
        let words = (try? String(contentsOfFile: path, encoding: .utf8))?.words() ?? []
        guard words.count == 2, words[1] == bootID, let count = Int(words[0]) else { return 0 }
        return min(max(count, 0), 1_000_000)
    }

    /// Notes a start, which is a bad one until ``lasted()`` says otherwise.
    func begin() -> Mode {
        let before = badStarts
        write(before + 1)
        return mostBadStarts > 0 && before >= mostBadStarts ? .safe : .normal
    }

    /// How long to wait before this start: only when the safe mode does not hold either.
    func backOff(after badStarts: Int) -> Duration {
        guard mostBadStarts > 0, badStarts > mostBadStarts else { return .zero }
        return .seconds(min(60, 5 * (badStarts - mostBadStarts)))
    }

    /// It has run for long enough, or was ended as it should be.
    func lasted() { try? FileManager.default.removeItem(atPath: path) }

    /// This run has ended itself so that the next start repairs its database: no bad start, since safe mode would not help.
    func excuse() {
        let count = badStarts - 1
        if count > 0 { write(count) } else { lasted() }
    }

    /// Safe mode has held: the next start is a normal one, but one more bad start brings the safe mode back.
    func tryAgain() { write(max(0, mostBadStarts - 1)) }

    private func write(_ count: Int) {
        // Atomic: a torn number would be taken for none. Failing is no reason not to start.
        try? Data("\(count) \(bootID)\n".utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    }
}
