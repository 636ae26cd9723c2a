import Foundation
import Synchronization

/// A line on a terminal that grows: how many, how much, how fast. Nothing where there is no terminal.
final class TransferBar: Sendable {
    private let isTerminal: Bool
    private let begun = ContinuousClock.now
    private let width = 30
    private let isShown = Mutex(false)

    init(isTerminal: Bool) { self.isTerminal = isTerminal }

    func show(_ name: String, done: Int, of all: Int, bytes: Int64) {
        guard isTerminal, all > 0 else { return }
        isShown.withLock { isShown in
            isShown = true
            let passed = ContinuousClock.now - begun
            let seconds = max(0.001, Double(passed.components.seconds) + Double(passed.components.attoseconds) / 1e18)
            let filled = width * done / all
            let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
            let rate = Dashboard.bytes(Int64(Double(bytes) / seconds))
            let text = "\r\(name) [\(bar)] \(done)/\(all)  \(Dashboard.bytes(bytes))  \(rate)/s\u{1B}[K"
            FileHandle.standardOutput.write(Data(text.utf8))
        }
    }

    func end() {
        isShown.withLock { isShown in
            if isShown { FileHandle.standardOutput.write(Data("\n".utf8)) }
            isShown = false
        }
    }
}
