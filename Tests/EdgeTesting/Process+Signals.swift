import Foundation

extension Process {
    /// Starts it with no signal blocked.
    ///
    /// A program inherits the signal mask of the thread that starts it (posix_spawn(3)), and the threads on which tests run block
    /// most signals. `mosquitto_sub -W` then waits for ever: its SIGALRM never comes.
    ///
    /// Memory: the sets are this function's, and borrowed for the calls.
    func runWithoutBlockedSignals() throws {
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try run()
    }

    /// Waits for its end, no longer than so long; then kills it.
    ///
    /// - Returns: whether it ended by itself.
    @discardableResult
    func wait(seconds: Double) -> Bool {
        for _ in 0..<Int(seconds * 50) {
            guard isRunning else { return true }
            usleep(20_000)
        }
        let hasEnded = !isRunning
        if !hasEnded { kill(processIdentifier, SIGKILL) }
        waitUntilExit()
        return hasEnded
    }
}
