/// Whether settings that were read again may replace those in force.
///
/// A file that is empty, cut off or not there looks like one that sets nothing, and would remove every protection without a word. So
/// what a reload no longer finds stays in force. Whoever wants to remove it writes that down, or restarts the daemon.
struct ReloadCheck {
    /// What protects the box.
    struct Protection: Sendable {
        /// Empty: the API is open.
        var apiToken: String
        var effective: [String: SettingsLoader.Effective]
    }

    /// Why the new settings must not be taken over; empty if they may.
    static func objections(to new: Protection, over old: Protection) -> [String] {
        emptiedFiles(new, old) + removed(new, old)
    }

    private static func emptiedFiles(_ new: Protection, _ old: Protection) -> [String] {
        let before = Set(old.effective.values.compactMap { file($0.source) })
        let now = Set(new.effective.values.compactMap { file($0.source) })
        return before.subtracting(now).sorted().map {
            "\($0) is empty or gone: it set something before and sets nothing now"
        }
    }

    /// `/etc/settings.yaml` of `/etc/settings.yaml:12`; nil of a source that is no file with lines.
    private static func file(_ source: String) -> String? {
        guard let colon = source.utf8.lastIndex(of: UInt8(ascii: ":")) else { return nil }
        let line = source[source.utf8.index(after: colon)...]
        return !line.isEmpty && line.allSatisfy(\.isNumber) ? String(source[..<colon]) : nil
    }

    private static func removed(_ new: Protection, _ old: Protection) -> [String] {
        var objections: [String] = []
        if !old.apiToken.isEmpty, new.apiToken.isEmpty, !isSet("api_token", new), !(isOpen(new) && !isOpen(old)) {
            objections.append(
                "the API would ask for no token any more; to remove it, write api_token: \"\", or restart the daemon")
        }
        for (name, nothing) in [("listener_tokens", "{}"), ("listener_allow", "[]")]
        where hasEntries(name, old) && !hasEntries(name, new) && !isSet(name, new) {
            objections.append(
                "\(name) would be removed; to remove it, write \(name): \(nothing), or restart the daemon")
        }
        return objections
    }

    /// Whether the settings say in words that no token is needed.
    private static func isOpen(_ settings: Protection) -> Bool {
        settings.effective["require_api_token"]?.value == .text("no")
    }

    private static func hasEntries(_ name: String, _ settings: Protection) -> Bool {
        switch settings.effective[name]?.value {
        case .map(let values): !values.isEmpty
        case .list(let values): !values.isEmpty
        default: false
        }
    }

    private static func isSet(_ name: String, _ settings: Protection) -> Bool {
        settings.effective[name].map { $0.source != "default" } ?? false
    }
}
