import Foundation
import Testing

@testable import EdgeAggregator

/// Examples and rules are those of Docker's page "Set, use, and manage variables in a Compose file with interpolation", `.env` file
/// syntax, without its substitution of `$NAME`.
@Suite struct DotenvTests {
    private func values(_ text: String) -> [String: String] {
        Dictionary(DotenvFile(text).entries.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
    }

    @Test(arguments: [
        ("VAR=VAL", "VAL"), (#"VAR="VAL""#, "VAL"), ("VAR='VAL'", "VAL"), ("VAR=VAL # comment", "VAL"),
        ("VAR=VAL# not a comment", "VAL# not a comment"), (##"VAR="VAL # not a comment""##, "VAL # not a comment"),
        (##"VAR="VAL" # comment"##, "VAL"), ("VAR='$OTHER'", "$OTHER"), ("VAR='${OTHER}'", "${OTHER}"),
        (#"VAR='Let\'s go!'"#, "Let's go!"), (#"VAR="{\"hello\": \"json\"}""#, #"{"hello": "json"}"#),
        (#"VAR="some\tvalue""#, "some\tvalue"), (#"VAR='some\tvalue'"#, #"some\tvalue"#),
        ("VAR=some\\tvalue", "some\\tvalue"),
        ("export VAR=VAL", "VAL"), ("VAR=", ""), ("VAR=\"\"", ""), ("VAR= # empty", ""), ("VAR=a=b", "a=b"),
        ("VAR = VAL  ", "VAL"), ("VAR='SOME\nVALUE'", "SOME\nVALUE"),
    ]) func readsAsComposeDoes(line: String, value: String) {
        for text in [line, "\u{FEFF}\(line)\n", "# first\n\n\(line)\nOTHER=1\n"] {
            #expect(values(text)["VAR"] == value)
            #expect(values(text.replacing("\n", with: "\r\n"))["VAR"] == value)
        }
    }

    @Test func saysWhereItIsWrong() {
        let file = DotenvFile("A=1\r\nnothing\r\nB=\"open\r\nC=3\r\nD='x' y\r\n")
        #expect(
            file.problems == [
                DotenvFile.Problem(line: 2, message: "`NAME=value` is expected"),
                DotenvFile.Problem(line: 3, message: "B: the quote \" is not closed"),
            ])
        #expect(file.entries.map(\.name) == ["A", "C", "D"])
        #expect(file.entries.map(\.line) == [1, 4, 5])
        #expect(file.entries.map(\.hasRest) == [false, false, true])
    }

    /// U+0301 makes one Character of itself and the separator before it.
    @Test func separatorsAreFoundBeforeCombiningMarks() throws {
        var loader = SettingsLoader()
        loader.load(
            dotenv: "#\u{301} comment\r\nAPI_TOKEN=\u{301}secret\r\nLISTENER_TOKENS=a=\u{301}one,b=two\r\n"
                + "SPECIES_EXCLUDE=Dog,\u{301}Siren\r\n", path: ".env")
        let all = try Settings(loader: loader, file: nil)
        #expect(Array(all.box.apiToken.utf8) == Array("\u{301}secret".utf8))
        #expect(all.reception.tokens == ["a": "\u{301}one", "b": "two"])
        #expect(all.analysis.exclude == ["Dog", "\u{301}Siren"])
    }

    /// Nothing of a secret is shown where its line cannot be read.
    @Test func aProblemDoesNotShowTheValue() {
        var loader = SettingsLoader()
        loader.load(dotenv: "API_TOKEN='hidden-token\nhidden-token\n", path: ".env")
        #expect(loader.problems.count == 2)
        #expect(!loader.problems.contains { $0.description.contains("hidden-token") })
    }

    /// The same for settings.yaml. YAML 1.2.2 §5.3 reserves `@` and a backtick at the beginning; an alias needs its anchor, a name
    /// stands once, and NUL stands nowhere (§5.1).
    @Test(arguments: [
        ("log_level: info\nmqtt_password: @hidden-token\n", 2), ("mqtt_password: `hidden-token\n", 1),
        ("log_level: info\n\nmqtt_password: *hidden-token\n", 3), ("mqtt_password: 'hidden-token\n", 2),
        ("mqtt_password: hidden-token\nmqtt_password: x\n", 1), ("mqtt_password: hidden: token: hidden-token\n", 1),
        ("log_level: info\nmqtt_password: hidden-token\u{0}\n", 2),
    ]) func aYAMLProblemDoesNotShowTheValue(text: String, line: Int) {
        var loader = SettingsLoader()
        loader.load(yaml: text, path: "settings.yaml")
        let problems = loader.problems.map(\.description)
        #expect(problems.count == 1 && problems[0].hasPrefix("settings.yaml:\(line): this is not YAML: column "))
        #expect(!problems.joined().contains("hidden"), "\(problems)")
    }

    /// What earlier releases took as it stands, and Docker Compose does not.
    @Test(arguments: [
        ("API_TOKEN=abcd #hidden", "a comment"), (#"API_TOKEN="ab\\nhidden""#, "an escape"),
        (#"API_TOKEN='ab\'hidden'"#, "an escape"), (#"API_TOKEN="ab\hidden""#, ""), ("API_TOKEN='abcd #hidden'", ""),
        ("API_TOKEN=abcd#hidden", ""), (#"API_TOKEN=ab\nhidden"#, ""), ("LOG_LEVEL=info # hidden", ""),
    ]) func aSecretThatIsReadOtherwiseThanBeforeIsTold(line: String, what: String) {
        var loader = SettingsLoader()
        loader.load(dotenv: line + "\n", path: ".env")
        let warnings = loader.warnings.map(\.description)
        #expect(loader.problems.isEmpty && warnings.count == (what.isEmpty ? 0 : 1))
        #expect(warnings.allSatisfy { $0.hasPrefix(".env:1: API_TOKEN: ") && $0.contains(what) })
        #expect(!warnings.joined().contains("hidden"))
    }

    @Test func aNULIsAnErrorThatShowsNothing() {
        var loader = SettingsLoader()
        loader.load(dotenv: "API_TOKEN=hid\u{0}den\nLOG_LEVEL=info\n", path: ".env")
        // YAML 1.2.2 §5.7: the escape of NUL.
        loader.load(yaml: #"mqtt_password: "hid\0den""#, path: "settings.yaml")
        let problems = loader.problems.map(\.description)
        #expect(problems.count == 2 && problems.allSatisfy { $0.contains("NUL") && !$0.contains("hid") })
        #expect(
            problems[0].hasPrefix(".env:1: api_token: ") && problems[1].hasPrefix("settings.yaml:1: mqtt_password: "))
    }

    /// What is hidden in support bundles and error reports. `p%40ss` is `p@ss` (RFC 3986 §2.1).
    @Test func passwordsInAddressesAreSecrets() throws {
        var loader = SettingsLoader()
        loader.loadEnvironment([
            "INFLUX_URL": "http://u:p%40ssword@host", "INFLUX_TOKEN": "t", "DELIVERY_PROXY": "u:pro'xy@host:3128",
            "ISEMS_ROUTER_IPS": "http://u:router-1@host/log,10.0.0.5", "NOAA_GFS_FILTER_URL": "http://host:80/cgi-bin",
        ])
        let secrets = Set(try Settings(loader: loader, file: nil).secrets)
        #expect(secrets.isSuperset(of: ["p%40ssword", "p@ssword", "pro'xy", "router-1"]))
        #expect(!secrets.contains { $0.contains("host") })
        #expect(Settings.shown(.text("http://u:12/x@h")) == "http://[hidden]@h")
        #expect(Settings.shown(.list(["http://u:a'b@h", "c"])) == "http://[hidden]@h,c")
    }

    @Test func aWrongAddressIsShownWithoutItsPassword() {
        var loader = SettingsLoader()
        loader.loadEnvironment([
            "INFLUX_URL": "ftp://user:hidden-word@host", "PROMETHEUS_URL": "http:// u:hidden-word@host",
        ])
        #expect {
            try Settings(loader: loader, file: nil)
        } throws: { error in
            let text = "\(error)"
            return text.contains("ftp://[hidden]@host") && !text.contains("hidden-word@")
        }
    }
}
