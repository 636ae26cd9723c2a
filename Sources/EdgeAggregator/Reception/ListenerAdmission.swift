/// Who may send sound: an allow-list and tokens, both optional.
struct ListenerAdmission: Sendable {
    enum Verdict: Equatable, Sendable {
        case admitted
        case refused(reason: String)
    }

    /// Empty: every id.
    let allowed: Set<String>
    /// Listener id, or `*` for every listener, to token. Empty: no token is asked for.
    let tokens: [String: String]

    /// Whether a listener could be admitted with it, whichever it is.
    func isKnown(token: String?) -> Bool {
        guard !tokens.isEmpty else { return true }
        guard let token else { return false }
        return tokens.values.contains { Tokens.areEqual($0, token) }
    }

    /// Whether the settings name the listener.
    func isNamed(_ listener: ListenerID) -> Bool { allowed.contains(listener.text) || tokens[listener.text] != nil }

    func judge(_ listener: ListenerID, token: String?) -> Verdict {
        if !allowed.isEmpty, !allowed.contains(listener.text) {
            return .refused(reason: "the listener is not on the allow-list")
        }
        guard !tokens.isEmpty else { return .admitted }
        let wanted = [tokens[listener.text], tokens["*"]].compactMap { $0 }
        guard !wanted.isEmpty else { return .refused(reason: "the listener has no token") }
        guard let token else { return .refused(reason: "no token was sent") }
        return wanted.contains { Tokens.areEqual($0, token) } ? .admitted : .refused(reason: "the token is wrong")
    }
}
