import Synchronization

/// Who may come in: what can change while the daemon runs.
final class Doorkeeper: Sendable {
    struct Rules: Sendable {
        var listeners: ListenerAdmission
        /// Empty: none is asked for.
        var apiToken: String
        /// By which names the box may be asked while no token is asked for.
        var hosts = KnownHosts(configured: [])
    }

    private let state: Mutex<Rules>

    init(_ rules: Rules) { state = Mutex(rules) }

    var rules: Rules {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }

    var listeners: ListenerAdmission { rules.listeners }
    var apiToken: String { rules.apiToken }
}
