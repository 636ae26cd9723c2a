/// Settings that are configured and replaced by others that mean the same. Buckets are ``S3Settings``' own matter.
enum ShadowedSettings {
    private static let pairs: [(used: String, unused: String)] = [
        ("postgresql_url", "database_url"), ("prometheus_url", "kvm_ip"), ("prometheus_token", "prom_pass"),
        ("keep_recordings", "delete_recordings"),
    ]

    static func notices(_ reader: SettingsReader) -> [SettingsProblem] {
        pairs.filter { pair in
            reader.isSet(pair.used) && !reader.isEmpty(pair.used) && reader.isConfigured(pair.unused)
                && reader.text(pair.used) != reader.text(pair.unused)
        }.map { pair in
            SettingsProblem(
                place: reader.place(of: [pair.unused]),
                message:
                    "\(pair.unused) is not used, because \(pair.used) (\(reader.source(pair.used))) is configured too")
        } + databases(reader)
    }

    /// The ISEMS collector and the Driftline data aggregator name their databases alike.
    private static func databases(_ reader: SettingsReader) -> [SettingsProblem] {
        let name = "database_url"
        guard reader.text("postgresql_url").isEmpty, reader.isConfigured(name) else { return [] }
        let source = reader.source(name)
        let address = DatabaseAddress(reader.text(name))
        if let other = reader.hiddenValues(name).last(where: { isOther($0, than: address) }) {
            return [
                SettingsProblem(
                    place: reader.place(of: [name]),
                    message:
                        "the \(address.text) address in \(name) (\(source)) hides the \(DatabaseAddress(other.value.display).text) address in \(name) (\(other.source)). For a PostgreSQL database to deliver to, set postgresql_url"
                )
            ]
        }
        guard address == .sqlite else { return [] }
        return [
            SettingsProblem(
                place: reader.place(of: [name]),
                message:
                    "\(name) is not used: it names a SQLite file, as the ISEMS collector does. `edge-aggregator import isems FILE` takes its rows. For a PostgreSQL database to deliver to, set postgresql_url."
                    + (reader.list("isems_router_ips").isEmpty ? " \(ISEMSSettings.hintForPolling)" : ""))
        ]
    }

    private static func isOther(_ hidden: SettingsLoader.Effective, than address: DatabaseAddress) -> Bool {
        switch (DatabaseAddress(hidden.value.display), address) {
        case (.postgreSQL, .sqlite), (.sqlite, .postgreSQL): true
        default: false
        }
    }
}

extension DatabaseAddress {
    fileprivate var text: String {
        switch self {
        case .postgreSQL: "PostgreSQL"
        case .sqlite: "SQLite"
        case .unknown: "unknown"
        }
    }
}
