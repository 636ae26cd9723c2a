import EdgeTesting
import Foundation
import Testing

/// The steps of the central server's page, run as they stand there, and the real servers that they set up.
@Suite(.serialized) struct CentralServerTests {
    /// Random passwords and a hash, by the tool of this machine or by the one in a container. What is set stays.
    @Test(arguments: [true, false])
    func makesPasswordsOnceAndTheirHash(hasTools: Bool) throws {
        let folder = try DeployFolder()
        try "S3_ACCESS_KEY=mine\nGRAFANA_PASSWORD=\nPROMETHEUS_PASSWORD=\nINFLUX_TOKEN=\n".write(
            toFile: "\(folder.path)/.env", atomically: true, encoding: .utf8)
        try folder.run("./passwords", hasTools: hasTools)
        let first = try ["S3_ACCESS_KEY", "GRAFANA_PASSWORD", "PROMETHEUS_PASSWORD", "INFLUX_TOKEN"].map(folder.secret)
        #expect(first[0] == "mine" && first[3].isEmpty)
        #expect(first[1].count == 48 && first[2].count == 48 && first[1] != first[2])
        try folder.run("./passwords", hasTools: hasTools)
        let second = try ["S3_ACCESS_KEY", "GRAFANA_PASSWORD", "PROMETHEUS_PASSWORD", "INFLUX_TOKEN"].map(folder.secret)
        #expect(second == first)
        let mode = try FileManager.default.attributesOfItem(atPath: "\(folder.path)/.env")[.posixPermissions]
        #expect(mode as? Int == 0o600)
        let result = try PrometheusServer.check("web-config", at: "\(folder.path)/prometheus/web.yml")
        #expect(result.code == 0, "\(result.text)")
        let web = try String(contentsOfFile: "\(folder.path)/prometheus/web.yml", encoding: .utf8)
        #expect(web.contains("\n  boxes: $2y$10$") && !web.contains(first[2]))
        if !hasTools {
            #expect(
                try folder.dockerCalls().first == [
                    "run", "--rm", "-i", "httpd:2.4", "htpasswd", "-niBC", "10", "boxes",
                ])
        }
    }

    /// Starts the real broker with a configuration, on a port of the test's own.
    private func broker(_ configuration: String, _ folder: DeployFolder, replacing places: [(String, String)]) throws
        -> (program: TestProgram, port: Int)
    {
        let port = try TestFolders.freePort()
        let debian = try FileManager.default.subpathsOfDirectory(atPath: "\(folder.root)/etc/mosquitto")
            .filter { $0.hasSuffix(".conf") }.map { "\(folder.root)/etc/mosquitto/\($0)" }
        for path in Set(debian + [configuration]) {
            var text = try String(contentsOfFile: path, encoding: .utf8)
            text = text.replacing("listener 1883", with: "listener \(port) 127.0.0.1")
            for (place, here) in places { text = text.replacing(place, with: here) }
            try text.write(toFile: path, atomically: true, encoding: .utf8)
        }
        // A broker that root starts becomes `mosquitto`, which this machine may not have.
        if geteuid() == 0 {
            let text = try String(contentsOfFile: configuration, encoding: .utf8)
            try "user nobody\n\(text)".write(toFile: configuration, atomically: true, encoding: .utf8)
        }
        return (try TestProgram("mosquitto", ["-c", configuration]), port)
    }

    private func login(_ port: Int, _ password: String?) throws -> Int32 {
        let credentials = password.map { ["-u", "boxes", "-P", $0] } ?? []
        return try TestProgram(
            "mosquitto_sub",
            ["-h", "127.0.0.1", "-p", "\(port)", "-t", "$SYS/broker/version", "-C", "1", "-W", "20"] + credentials
        ).wait()
    }

    private func letsInWithThePasswordOnly(_ port: Int, _ folder: DeployFolder) throws {
        try waitFor("the broker listens") { (try? RawConnection(port: port)) != nil }
        let password = try folder.secret("MQTT_PASSWORD")
        #expect(try login(port, password) == 0)
        #expect(try login(port, "wrong") != 0)
        #expect(try login(port, nil) != 0)
        // A box too.
        let daemon = try DaemonProcess(settings: [
            "MQTT_HOST": "127.0.0.1", "MQTT_PORT": "\(port)", "MQTT_USER": "boxes", "MQTT_PASSWORD": password,
            "CLOCK_WAIT_SEC": "0", "HEALTH_INTERVAL_SEC": "1", "LOG_LEVEL": "critical",
        ])
        try daemon.start()
        _ = try DeliverySupport.wait(daemon) {
            $0["name"] as? String == "mqtt" && $0["state"] as? String == "flowing"
                && ($0["facts_done"] as? Int ?? 0) > 0
        }
        #expect(daemon.stop() == 0)
    }

    /// The container's configuration is whole, and ends with the password file that the page's command makes.
    @Test func startsTheBrokerOfTheContainer() throws {
        let folder = try DeployFolder()
        try folder.run("./passwords")
        try folder.run(try folder.commands("2. The broker's password file").joined(separator: "\n"))
        let call = try #require(try folder.dockerCalls().last)
        // The container's user must own the file, and what is made is where the configuration looks.
        #expect(call.prefix(7) == ["compose", "run", "--rm", "--no-deps", "--user", "1883:1883", "mosquitto"])
        let configuration = "\(folder.path)/mosquitto/docker.conf"
        let text = try String(contentsOfFile: configuration, encoding: .utf8)
        #expect(
            text.contains("\npassword_file /mosquitto/data/passwords\n") && call.contains("/mosquitto/data/passwords"))
        let mounts = try folder.service("mosquitto").joined(separator: "\n")
        #expect(mounts.contains("./mosquitto/docker.conf:/mosquitto/config/mosquitto.conf:ro"))
        #expect(mounts.contains("mosquitto:/mosquitto/data"))
        try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: "\(folder.root)/mosquitto")
        let (program, port) = try broker(
            configuration, folder, replacing: [("/mosquitto/data", "\(folder.root)/mosquitto")])
        defer { program.stop() }
        try letsInWithThePasswordOnly(port, folder)
    }

    /// What a place of Debian's configuration is here.
    private func debian(_ folder: DeployFolder) throws -> [(String, String)] {
        let files = FileManager.default
        try files.removeItem(atPath: "\(folder.root)/etc/mosquitto")
        try files.copyItem(
            atPath: "\(TestProgram.tools)/mosquitto-debian/etc/mosquitto", toPath: "\(folder.root)/etc/mosquitto")
        for place in ["var", "log", "run"] {
            try files.createDirectory(atPath: "\(folder.root)/\(place)", withIntermediateDirectories: true)
            try files.setAttributes([.posixPermissions: 0o777], ofItemAtPath: "\(folder.root)/\(place)")
        }
        return [
            ("/etc/mosquitto", "\(folder.root)/etc/mosquitto"), ("/var/lib/mosquitto", "\(folder.root)/var"),
            ("/var/log/mosquitto", "\(folder.root)/log"), ("/run/mosquitto", "\(folder.root)/run"),
        ]
    }

    /// Debian's form stands beside Debian's own configuration, out of its package.
    @Test func startsTheBrokerOfDebian() throws {
        let folder = try DeployFolder()
        try folder.run("./passwords")
        let places = try debian(folder)
        try folder.run(try folder.commands("mosquitto").joined(separator: "\n"))
        let passwords = try FileManager.default.attributesOfItem(atPath: "\(folder.root)/etc/mosquitto/passwords")
        #expect(passwords[.posixPermissions] as? Int == 0o600)
        let (program, port) = try broker("\(folder.root)/etc/mosquitto/mosquitto.conf", folder, replacing: places)
        defer { program.stop() }
        try letsInWithThePasswordOnly(port, folder)
    }

    /// What this page had once: a whole configuration in Debian's conf.d. The broker refuses it, so the test above would see it.
    @Test func aWholeConfigurationDoesNotStandBesideDebians() throws {
        let folder = try DeployFolder()
        let places = try debian(folder)
        try FileManager.default.copyItem(
            atPath: "\(folder.path)/mosquitto/docker.conf", toPath: "\(folder.root)/etc/mosquitto/conf.d/edge.conf")
        let (program, _) = try broker("\(folder.root)/etc/mosquitto/mosquitto.conf", folder, replacing: places)
        #expect(program.wait() != 0)
    }

    /// Prometheus with the arguments and files of each form takes what a box with the password sends, and nothing without.
    @Test(arguments: [true, false])
    func startsPrometheus(isContainer: Bool) throws {
        let folder = try DeployFolder()
        try folder.run("./passwords")
        var arguments: [String]
        if isContainer {
            arguments = try folder.service("prometheus").filter { $0.hasPrefix("      - --") }.map {
                String($0.dropFirst(8)).replacing("/etc/prometheus", with: "\(folder.path)/prometheus")
            }
        } else {
            try folder.run(try folder.commands("Prometheus and node exporter").joined(separator: "\n"))
            let text = try folder.run(". /etc/default/prometheus; printf '%s\\n' $ARGS")
            arguments =
                text.split(separator: "\n").map(String.init)
                + ["--config.file=\(folder.root)/etc/prometheus/prometheus.yml"]
        }
        #expect(arguments.contains("--web.enable-remote-write-receiver"))
        arguments.removeAll { $0.hasPrefix("--storage.tsdb.path") }
        let password = try folder.secret("PROMETHEUS_PASSWORD")
        let server = try PrometheusServer(arguments: arguments, user: "boxes", password: password)
        try server.start()
        for (secret, state) in [(password, "flowing"), ("wrong", "unauthorised")] {
            let daemon = try DaemonProcess(settings: [
                "PROMETHEUS_URL": "http://127.0.0.1:\(server.port)/api/v1/write", "PROM_SCRAPE_INTERVAL": "1s",
                "PROM_USER": "boxes", "PROM_PASS": secret, "AGGREGATOR_UUID": "box-\(state)", "CLOCK_WAIT_SEC": "0",
                "DELIVERY_RETRY_FIRST_SEC": "0.1", "LOG_LEVEL": "critical",
            ])
            try daemon.start()
            _ = try DeliverySupport.wait(daemon) {
                $0["state"] as? String == state && (state != "flowing" || ($0["facts_done"] as? Int ?? 0) >= 2)
            }
            #expect(daemon.stop() == 0)
        }
        let seen = try server.query("count_over_time(edge_aggregator_ready[1h])").compactMap {
            $0.labels["aggregator_uuid"]
        }
        #expect(seen == ["box-flowing"])
    }

    /// The S3 server by compose and by its unit; the bucket by the page's commands; a box's recording is a file in it.
    @Test(arguments: [true, false])
    func startsTheS3ServerAndMakesTheBucket(isContainer: Bool) throws {
        let folder = try DeployFolder()
        try folder.run("./passwords")
        let server = try StorageServer(folder, isContainer: isContainer)
        if isContainer {
            try folder.run(try folder.commands("5. The bucket").joined(separator: "\n"))
        } else {
            let commands = try #require(try folder.commands("An S3 server").last)
            try folder.run(commands.replacing("http://127.0.0.1:9000", with: "http://127.0.0.1:\(server.port)"))
        }
        let daemon = try DaemonProcess(settings: [
            "S3_ENDPOINT": "http://127.0.0.1:\(server.port)", "S3_BUCKET": "recordings",
            "S3_ACCESS_KEY": try folder.secret("S3_ACCESS_KEY"), "S3_SECRET_KEY": try folder.secret("S3_SECRET_KEY"),
            "AGGREGATOR_UUID": "box-1", "CLOCK_WAIT_SEC": "0", "LOG_LEVEL": "critical",
        ])
        try daemon.start()
        let stream = try daemon.stream("mic")
        try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader(rate: 48_000))))
        for number in 1...10 {
            try stream.send(
                WireMaker.chunk(WireMaker.frame(number, [UInt8](repeating: UInt8(number), count: 32_768))))
        }
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        let bucket = "\(folder.root)/s3/recordings/box-1/mic"
        try waitFor("the recording is in the bucket") {
            ((try? FileManager.default.contentsOfDirectory(atPath: bucket)) ?? []).contains { $0.hasSuffix(".wav") }
        }
        #expect(daemon.stop() == 0)
    }
}
