import Foundation
import Testing

@testable import EdgeAggregator
@testable import Forecasts

/// What the replaced systems, and what starts programs, write in other ways.
@Suite struct AcceptedFormsTests {
    /// Python's own list of its levels, and what it calls the same.
    @Test func everyNameOfPythonsLevelsIsTaken() throws {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "python3", "-c",
            "import logging\nfor name, value in logging._nameToLevel.items(): print(name, logging.getLevelName(value))",
        ]
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        var names: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            if words.count == 2 { names[words[0]] = words[1] }
        }
        #expect(names.count >= 8 && names["WARN"] == "WARNING")
        for (name, same) in names {
            // NOTSET lets everything through.
            let level = same == "NOTSET" ? "trace" : same.lowercased()
            for form in [name, name.lowercased()] {
                let reading = SettingsReading(environment: ["LOG_LEVEL": form])
                #expect(reading.problems == [] && reading.settings?.box.logLevel == level, "\(form)")
            }
        }
        #expect(SettingsReading(environment: ["LOG_LEVEL": "LOUD"]).problems.count == 1)
    }

    @Test(arguments: [
        ("postgresql://u:p@h/d", "postgresql://u:p@h/d"), ("postgres://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgresql+psycopg2://u:p%40@h:5432/d?sslmode=require", "postgresql://u:p%40@h:5432/d?sslmode=require"),
        ("postgresql+asyncpg://u@h/d", "postgresql://u@h/d"), ("PostgreSQL+psycopg://h/d", "postgresql://h/d"),
    ])
    func addressesOfSQLAlchemyAreTaken(text: String, address: String) {
        let reading = SettingsReading(environment: ["DATABASE_URL": text])
        #expect(reading.problems == [] && reading.settings?.deliveries.postgreSQL == address)
    }

    @Test(arguments: ["mysql://h/d", "postgresql", "postgresql:h", "h:5432/d", "mysql+pymysql://h/d"])
    func otherAddressesAreRefused(text: String) {
        #expect(SettingsReading(environment: ["DATABASE_URL": text]).problems.count == 1)
    }

    @Test(arguments: ["sqlite:///x.db", "sqlite://", "sqlite+aiosqlite:////tmp/test.db"])
    func addressesOfSQLiteArePassedOver(text: String) {
        let reading = SettingsReading(environment: ["DATABASE_URL": text])
        #expect(reading.problems == [] && reading.settings?.deliveries.postgreSQL == nil && reading.notices.count == 1)
    }

    @Test func nicknamesOfCronAreTaken() {
        let reading = SettingsReading(
            environment: ["FORECASTS": "enabled", "COLLECTION_SCHEDULE": "@hourly", "CLEANUP_SCHEDULE": "@daily"])
        #expect(reading.problems == [] && reading.settings?.forecasts.collection != nil)
        let unknown = SettingsReading(environment: ["FORECASTS": "enabled", "CLEANUP_SCHEDULE": "@noon"])
        #expect(unknown.problems.count == 1 && unknown.problems[0].contains("@daily"))
    }

    @Test func theDatasetHasItsFormerNameToo() {
        let reading = SettingsReading(environment: ["FORECASTS": "enabled", "COPERNICUS_DATASET_ID": "cmems_other"])
        #expect(reading.settings?.forecasts.copernicus.dataset == "cmems_other" && reading.notices == [])
    }

    @Test(arguments: [
        (#""a b""#, "a b"), ("'a b'", "a b"), (#""""#, ""), ("''", ""), (#""a","b""#, #""a","b""#), (#"""#, #"""#),
        (#""a'"#, #""a'"#), (#"a"b"#, #"a"b"#), ("\"\u{301}a\"", "\u{301}a"), (#""it's""#, "it's"), ("", ""),
    ])
    func onePairOfQuotesIsTakenOff(text: String, value: String) {
        #expect(Array(EnvironmentText.unquoted(text).utf8) == Array(value.utf8))
    }

    @Test func quotedValuesOfTheEnvironmentAreTaken() throws {
        let reading = SettingsReading(environment: [
            "AGGREGATOR_UUID": "\"hut 1\"", "MAX_LISTENERS": "'5'", "LISTEN": "\"127.0.0.1:1,127.0.0.1:2\"",
            "LISTENER_TOKENS": "\"a=one\"", "API_TOKEN": "'secret-token'", "LOG_FORMAT": "\"\"",
        ])
        let settings = try #require(reading.settings)
        #expect(SettingsLoader.file(named: nil, environment: ["CONFIG_PATH": "\"/etc/x.yaml\""]) == "/etc/x.yaml")
        #expect(settings.box.uuid == "hut 1" && settings.reception.mostListeners == 5)
        #expect(settings.box.addresses.count == 2 && settings.reception.tokens == ["a": "one"])
        #expect(settings.box.apiToken == "secret-token" && settings.box.logFormat == .text)
        #expect(reading.warnings.count == 2 && reading.warnings.allSatisfy { $0.contains("quotes") })
        #expect(!reading.warnings.joined().contains("secret-token"))
    }

    @Test(arguments: [
        ("DATABASE_URI", "DATABASE_URL"), ("S3_SECRET_KEYS", "S3_SECRET_KEY"), ("FORECAST", "FORECASTS"),
        ("MAX_DATA_AGE_DAY", "MAX_DATA_AGE_DAYS"), ("SENTRY_DNS", "SENTRY_DSN"), ("POSTGRES_URL", "POSTGRESQL_URL"),
        ("API_TOKEN_FIEL", "API_TOKEN_FILE"), ("MODEL_DIR", "MODELS_DIR"), ("log_level", "LOG_LEVEL"),
        ("S3_ACCESS_KEY_FILE", "S3_ACCESS_KEY"),
    ])
    func aNameCloseToASettingsIsWarnedOf(name: String, meant: String) {
        let notices = SettingsReading(environment: [name: "hidden-value"]).notices
        #expect(notices.count == 1 && notices[0].hasPrefix("environment: \(name) "), "\(notices)")
        #expect(notices.first?.hasSuffix(meant) == true && !notices.joined().contains("hidden-value"))
    }

    /// What is usually in an environment: of a login, of Debian, systemd(5), Docker, balena, Kubernetes, and builds.
    @Test func otherProgramsNamesAreNone() {
        let names = """
            HOME USER LOGNAME SHELL PATH PWD OLDPWD TERM COLORTERM LANG LANGUAGE LC_ALL LC_TIME TZ EDITOR VISUAL PAGER MAIL HOSTNAME
            HOSTTYPE DISPLAY XAUTHORITY DBUS_SESSION_BUS_ADDRESS XDG_DATA_DIRS XDG_CONFIG_DIRS XDG_RUNTIME_DIR XDG_SESSION_ID
            SSH_CLIENT SSH_CONNECTION SSH_TTY SSH_AUTH_SOCK SUDO_USER SUDO_UID SUDO_GID SUDO_COMMAND DEBIAN_FRONTEND PS1 IFS _
            LISTEN_PID LISTEN_FDS LISTEN_FDNAMES NOTIFY_SOCKET WATCHDOG_PID WATCHDOG_USEC INVOCATION_ID JOURNAL_STREAM MAINPID
            SYSTEMD_EXEC_PID SYSTEMD_LOG_LEVEL RUNTIME_DIRECTORY STATE_DIRECTORY CACHE_DIRECTORY LOGS_DIRECTORY CONFIGURATION_DIRECTORY
            CREDENTIALS_DIRECTORY CONFIG_PATH http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY container
            BALENA_DEVICE_UUID BALENA_APP_NAME BALENA_API_KEY BALENA_HOST_OS_VERSION BALENA_SUPERVISOR_ADDRESS RESIN_APP_ID
            KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT KUBERNETES_PORT_443_TCP REDIS_PORT REDIS_PASSWORD MINIO_ROOT_USER
            MINIO_ROOT_PASSWORD POSTGRES_USER POSTGRES_DB POSTGRES_PASSWORD PGUSER PGHOST PGPASSWORD AWS_REGION AWS_PROFILE
            AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY SMTP_HOST SMTP_PORT SMTP_USER HTTP_HOST HTTP_PORT MYSQL_HOST MYSQL_USER
            PYTHONPATH VIRTUAL_ENV NODE_ENV NODE_OPTIONS GOPATH JAVA_HOME CI GITHUB_TOKEN GITHUB_OUTPUT RUNNER_TEMP MAKEFLAGS MAKELEVEL
            CFLAGS LDFLAGS LD_LIBRARY_PATH LD_PRELOAD SWIFT_VERSION CURL_CA_BUNDLE SSL_CERT_FILE DEBUG TIMEZONE OUTPUT SENSOR
            """
        for name in names.split(whereSeparator: \.isWhitespace).map(String.init) {
            let notices = SettingsReading(environment: [name: "1"]).notices
            #expect(notices == [], "\(name)")
        }
    }

    @Test func warningsOfNamesAreBounded() {
        let many = Dictionary(
            uniqueKeysWithValues: (0..<26).map { ("MAX_LISTENER\(Character(UnicodeScalar(UInt8(65 + $0))))", "1") })
        #expect(SettingsReading(environment: many).notices.count == EnvironmentNames.maximumNotices)
    }
}
