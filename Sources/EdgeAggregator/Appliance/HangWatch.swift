import ArgumentParser
import Foundation
import Logging
import Synchronization

/// Ends the process when there is no sign of life for long: what the service manager's watchdog does, where there is none.
///
/// On a thread of its own, which needs nothing that may hang. It counts its own seconds, so that a process or machine that was
/// stopped for a while is not taken for one that hangs.
final class HangWatch: Sendable {
    private let limitSeconds: Int
    private let logger: Logger
    private let silentSeconds = Atomic<Int>(0)
    private let isOver = Atomic<Bool>(false)

    init(limitSeconds: Int, logger: Logger) {
        self.limitSeconds = limitSeconds
        self.logger = logger
    }

    func start() {
        let thread = Thread { [self] in
            while !isOver.load(ordering: .relaxed) {
                sleep(1)
                guard silentSeconds.add(1, ordering: .relaxed).newValue < limitSeconds else { end() }
            }
        }
        thread.name = "hang-watch"
        thread.start()
    }

    func alive() { silentSeconds.store(0, ordering: .relaxed) }

    func stop() { isOver.store(true, ordering: .relaxed) }

    private func end() -> Never {
        let text =
            "The daemon hangs: there was no sign of life for \(limitSeconds) s. It ends at once; the next start repairs what is unfinished. Start it again if nothing does so by itself."
        logger.critical("\(text)")
        printError(text)
        _exit(ExitCodes.cannotContinue.rawValue)
    }
}
