import ArgumentParser
import Foundation
import TextParts

/// `edge-aggregator settings`.
struct SettingsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settings", abstract: "Show the effective settings and where each comes from.",
        discussion: ExitCodes.help, subcommands: [Show.self, Check.self, Reference.self], defaultSubcommand: Show.self)

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show the effective settings (secrets hidden).")
        @OptionGroup var options: SettingsOptions
        @Flag(help: "As JSON.")
        var json = false

        func run() async throws {
            let settings = try options.load()
            let rows = SettingsCatalogue.all.map { setting -> (String, String, String) in
                let effective = settings.effective[setting.name]
                let value = effective?.value.display ?? ""
                return (
                    setting.name, setting.isSecret && !value.isEmpty ? "(hidden)" : Settings.shown(effective?.value),
                    effective?.source ?? "default"
                )
            }
            if json {
                let values = Dictionary(uniqueKeysWithValues: rows.map { ($0.0, ["value": $0.1, "source": $0.2]) })
                print(String(decoding: try Answer.encoder.encode(values), as: UTF8.self))
                return
            }
            let width = rows.map(\.0.count).max() ?? 0
            for (name, value, source) in rows {
                print(
                    "\(name.padding(toLength: width, withPad: " ", startingAt: 0))  \(value.isEmpty ? "–" : value)   [\(source)]"
                )
            }
        }
    }

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Say whether the settings are right (0) or not (78).")
        @OptionGroup var options: SettingsOptions

        func run() async throws {
            let settings = try options.load()
            for notice in settings.notices { printError("warning: \(notice)") }
            print("The settings are right (\(settings.file ?? "no file")).")
        }
    }

    struct Reference: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the page that describes every setting (Markdown).")

        func run() async throws {
            print(SettingsReference.page, terminator: "")
        }
    }
}
