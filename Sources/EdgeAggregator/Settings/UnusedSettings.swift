/// Settings that are configured while nothing uses them.
enum UnusedSettings {
    /// A part that can be off, and the settings that do nothing meanwhile.
    struct Feature: Sendable {
        let settings: [String]
        /// What does not happen while it is off.
        let absence: String
        /// How to turn it on.
        let remedy: String
        let isOn: @Sendable (SettingsReader) -> Bool
    }

    /// One notice for each feature that is off and of which something is configured, and one for all settings without effect.
    static func notices(_ reader: SettingsReader) -> [SettingsProblem] {
        var notices = features.compactMap { feature -> SettingsProblem? in
            let names = feature.settings.filter(reader.isConfigured)
            guard !names.isEmpty, !feature.isOn(reader) else { return nil }
            return SettingsProblem(
                place: reader.place(of: names),
                message:
                    "\(SettingsList.text(names)) \(names.count == 1 ? "is" : "are") configured and not used: \(feature.absence). \(feature.remedy)"
            )
        }
        let names = SettingsCatalogue.all.filter { $0.isWithoutEffect && reader.isConfigured($0.name) }.map(\.name)
        if !names.isEmpty {
            notices.append(
                SettingsProblem(
                    place: reader.place(of: names),
                    message:
                        "\(SettingsList.text(names)) \(names.count == 1 ? "has" : "have") no effect here; docs/settings.md says why"
                ))
        }
        return notices
    }
}
