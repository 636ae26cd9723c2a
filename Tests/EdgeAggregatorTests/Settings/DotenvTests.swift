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
