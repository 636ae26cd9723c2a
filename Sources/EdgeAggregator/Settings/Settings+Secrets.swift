import Foundation
import TextParts

extension Settings {
    /// Values that must not be told to anybody: secret settings, and passwords in addresses, as they are written and decoded.
    var secrets: [String] { Self.secrets(of: effective) + [knownToken].filter { !$0.isEmpty } }

    /// Those among values, which need not be right.
    static func secrets(of values: [String: SettingsLoader.Effective]) -> [String] {
        SettingsCatalogue.all.flatMap { setting -> [String] in
            let value = values[setting.name]?.value
            let inAddresses = addresses(value, setting).flatMap(\.secretsOfAddress)
            let all = (setting.isSecret ? texts(value) : []) + inAddresses
            return all + inAddresses.compactMap(\.removingPercentEncoding)
        }
    }

    /// A value for people, without passwords in addresses.
    static func shown(_ value: SettingValue?) -> String {
        switch value {
        case .text(let text) where text.holds("://"): text.addressHidingPasswords
        case .list(let texts): texts.map { shown(.text($0)) }.joined(separator: ",")
        default: (value?.display ?? "").hidingPasswords
        }
    }

    private static func texts(_ value: SettingValue?) -> [String] {
        switch value {
        case .text(let text): [text]
        case .list(let texts): texts
        case .map(let values): Array(values.values)
        case .bool, .int, .number, .none?, nil: []
        }
    }

    /// The addresses among them. A proxy needs no scheme.
    private static func addresses(_ value: SettingValue?, _ setting: SettingDescription) -> [String] {
        texts(value).filter { $0.holds("://") || setting.name == "delivery_proxy" || setting.name == "database_url" }
    }
}
