/// The page docs/settings.md.
enum SettingsReference {
    static var page: String {
        var text = """
            # Settings

            This page is made by `edge-aggregator settings reference`.

            A setting stands in `settings.yaml` under its name, or in the environment or a file `.env` beside
            `settings.yaml` under the same name in capitals. The environment wins over `.env`, `.env` over the file, the
            file over the default. The file is the one named by `--settings`, else by `CONFIG_PATH`, else
            `./settings.yaml`, else `/etc/edge-aggregator/settings.yaml`. What is unknown, of the wrong kind or out of
            range stops the start, with its line and the nearest known name. An empty value leaves the default.
            `edge-aggregator settings` shows what is in force and where it came from; `settings check` only says whether
            it is right.

            In the environment one pair of quotes around a whole value is not part of it, because `docker run --env-file`
            keeps quotes.

            `settings check` and the log of each start also warn of what is right and may not be meant: settings that are configured
            while nothing uses them (`COPERNICUS_USERNAME` while `forecasts` is `disabled`), settings that another one
            replaces, settings without effect, and names in the environment that nearly are a setting's. What is wrong
            with the settings of a part that is off is such a warning too, and does not stop the start.

            Every command that reads settings uses the same ones and the same data folder, and prints both
            (`settings: …, data: …`, on standard error). The data folder is `base_dir` and is found like any other setting;
            no command looks for another one if it is missing. The `settings.yaml` of the source folder sets it to `var`; the
            Debian package, the card and the container set their own; without any setting it is `/data`.

            """
        var groups: [String] = []
        for setting in SettingsCatalogue.all where !groups.contains(setting.group) { groups.append(setting.group) }
        for group in groups {
            text += "\n## \(group)\n\n| setting | default | allowed | what it does |\n|---|---|---|---|\n"
            for setting in SettingsCatalogue.all where setting.group == group {
                let fallback = setting.fallback.isEmpty ? "" : "`\(setting.fallback)`"
                let unit = setting.unit.isEmpty ? "" : " (\(setting.unit))"
                let secret = setting.isSecret ? " Secret: never shown." : ""
                text +=
                    "| `\(setting.name)` | \(fallback) | \(setting.allowed)\(unit) | \(setting.purpose)\(secret) |\n"
            }
        }
        return text
    }
}
