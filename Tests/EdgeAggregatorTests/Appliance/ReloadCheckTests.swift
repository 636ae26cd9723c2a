import Foundation
import Testing

@testable import EdgeAggregator

/// Which settings a reload must not take over.
@Suite struct ReloadCheckTests {
    private func protection(
        _ yaml: String, dotenv: String = "", environment: [String: String] = [:], token: String? = nil
    ) throws -> ReloadCheck.Protection {
        var loader = SettingsLoader()
        loader.load(yaml: yaml, path: "/etc/settings.yaml")
        loader.load(dotenv: dotenv, path: "/etc/.env")
        loader.loadEnvironment(environment)
        let settings = try Settings(loader: loader, file: "/etc/settings.yaml")
        return ReloadCheck.Protection(apiToken: token ?? settings.box.apiToken, effective: settings.effective)
    }

    private let full = "api_token: secret-token\nlistener_tokens: {a: ears}\nlistener_allow: [a]\nlog_level: info\n"

    @Test(arguments: [
        "", "\n\n", "# only a comment\n", "# api_token: secret-token\n", "---\n", "~\n", "{}\n", "null\n",
    ])
    func anEmptyFileRemovesNothing(text: String) throws {
        let objections = ReloadCheck.objections(to: try protection(text), over: try protection(full))
        #expect(objections.contains { $0.contains("/etc/settings.yaml is empty or gone") }, "\(objections)")
        // Also one that had no token in it: it was not emptied on purpose.
        let plain = try protection("max_listeners: 5\n", environment: ["API_TOKEN": "t"])
        #expect(!ReloadCheck.objections(to: try protection(text, environment: ["API_TOKEN": "t"]), over: plain).isEmpty)
    }

    @Test func anEmptyDotenvRemovesNothing() throws {
        let old = try protection("log_level: info\n", dotenv: "API_TOKEN=secret\n")
        let objections = ReloadCheck.objections(to: try protection("log_level: info\n"), over: old)
        #expect(objections.count == 2, "\(objections)")
        #expect(objections.first?.contains("/etc/.env") == true)
    }

    /// Cut off at any line: never is less asked for than before, unless nothing that was lost protects.
    @Test func aFileThatIsCutOffRemovesNothing() throws {
        let old = try protection(full)
        let lines = full.split(separator: "\n", omittingEmptySubsequences: true)
        for count in 0..<lines.count {
            let text = lines.prefix(count).joined(separator: "\n")
            let objections = ReloadCheck.objections(to: try protection(text), over: old)
            #expect(objections.isEmpty == (count >= 3), "\(text): \(objections)")
        }
    }

    @Test func whatIsWrittenDownIsRemoved() throws {
        let old = try protection(full)
        let new = "api_token: \"\"\nlistener_tokens: {}\nlistener_allow: []\n"
        #expect(ReloadCheck.objections(to: try protection(new), over: old) == [])
        // A token that the daemon made, because the settings asked for one, and now say that they do not.
        let made = try protection("require_api_token: yes\n", token: "made-by-the-box")
        #expect(ReloadCheck.objections(to: try protection("require_api_token: no\n"), over: made) == [])
        #expect(ReloadCheck.objections(to: try protection("log_level: info\n"), over: made).count == 1)
        // That no token is needed was said before too: it is no wish to remove the one there is.
        let both = try protection("require_api_token: no\napi_token: secret\n")
        #expect(ReloadCheck.objections(to: try protection("require_api_token: no\n"), over: both).count == 1)
    }

    @Test func changesAndAdditionsPass() throws {
        let old = try protection(full)
        let new = "api_token: another\nlistener_tokens: {b: eyes}\nlistener_allow: [b, c]\n"
        #expect(ReloadCheck.objections(to: try protection(new), over: old) == [])
        let open = try protection("")
        #expect(ReloadCheck.objections(to: try protection(full), over: open) == [])
        #expect(ReloadCheck.objections(to: open, over: open) == [])
        // What the process was started with stays.
        let environment = ["API_TOKEN": "t", "LISTENER_TOKENS": "a=b"]
        let started = try protection("", environment: environment)
        #expect(ReloadCheck.objections(to: started, over: started) == [])
    }
}
