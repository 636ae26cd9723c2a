import Crypto
import Foundation

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

    func judge(_ listener: ListenerID, token: String?) -> Verdict {
        if !allowed.isEmpty, !allowed.contains(listener.text) {
            return .refused(reason: "the listener is not on the allow-list")
        }
        guard !tokens.isEmpty else { return .admitted }
        let wanted = [tokens[listener.text], tokens["*"]].compactMap { $0 }
        guard !wanted.isEmpty else { return .refused(reason: "the listener has no token") }
        guard let token else { return .refused(reason: "no token was sent") }
        // Compare digests, so that the time taken tells nothing of the token.
        let digest = SHA256.hash(data: Data(token.utf8))
        let matches = wanted.map { SHA256.hash(data: Data($0.utf8)) == digest }
        return matches.contains(true) ? .admitted : .refused(reason: "the token is wrong")
    }
}
