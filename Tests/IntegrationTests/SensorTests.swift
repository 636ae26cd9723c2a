import EdgeTesting
import Foundation
import Testing

/// Sensors on real terminals and files, asked by the real daemon.
@Suite(.serialized) struct SensorTests {
    private func sensors(_ daemon: DaemonProcess) throws -> [String: [String: Any]] {
        let all = try daemon.json("/api/v1/sensors")["sensors"] as? [[String: Any]] ?? []
        return Dictionary(uniqueKeysWithValues: all.map { ($0["name"] as? String ?? "", $0) })
    }

    private func wait(_ daemon: DaemonProcess, _ what: String, until predicate: ([String: [String: Any]]) -> Bool)
        throws
    {
        var last: [String: [String: Any]] = [:]
        for _ in 0..<400 {
            last = try sensors(daemon)
            if predicate(last) { return }
            usleep(50_000)
        }
        throw DaemonProcess.Failure(description: "\(what): \(last)")
    }

    @Test func readingsArriveAndAFaultDisturbsNobodyElse() throws {
        let far = try FarEnd("serial_sensors.py")
        let probe = "\(far.folder)/w1_slave"
        let scratchpad = "72 01 4b 46 7f ff 0e 10 57"
        try "\(scratchpad) : crc=57 YES\n\(scratchpad) t=23125\n".write(
            toFile: probe, atomically: true, encoding: .utf8)
        let daemon = try DaemonProcess(settings: [
            "SENSORS": """
            s8=senseair_s8 port=\(far.folder)/s8 interval=0.2,gss=explorir port=\(far.folder)/explorir interval=0.2,\
            soil=ds18b20 path=\(probe) interval=0.2 temperature_offset=-1 temperature_scale=2,\
            lost=bme280 bus=/nowhere/i2c-9 interval=0.2
            """, "LOG_LEVEL": "critical",
        ])
        try daemon.start()
        try wait(daemon, "readings") {
            $0["soil"]?["state"] as? String == "ok" && $0["s8"]?["state"] as? String == "warming"
                && $0["gss"]?["state"] as? String == "warming" && $0["lost"]?["state"] as? String == "absent"
        }
        let soil = try #require(try sensors(daemon)["soil"]?["values"] as? [String: [String: Any]])
        #expect(soil["temperature"]?["value"] as? Double == 45.25 && soil["temperature"]?["raw"] as? Double == 23.125)
        // Ten seconds of warming up.
        try wait(daemon, "explorir") { $0["gss"]?["state"] as? String == "ok" }
        try wait(daemon, "observations") { _ in
            let answer = try? daemon.json("/api/v1/observations?source=gss&quantity=co2")
            return (answer?["observations"] as? [[String: Any]])?.first?["value"] as? Double == 610
        }
        let page = try daemon.get("/metrics").body
        #expect(page.contains(#"edge_aggregator_sensor_value{quantity="co2",sensor="gss",unit="ppm"} 610"#))
        #expect(page.contains(#"edge_aggregator_sensor_ok{kind="bme280",sensor="lost"} 0"#))
        // Noise on the line, then silence; the probe goes on.
        try "garbled".write(toFile: "\(far.folder)/mood", atomically: true, encoding: .utf8)
        try wait(daemon, "garbled") {
            $0["gss"]?["state"] as? String == "faulty" && $0["soil"]?["state"] as? String == "ok"
        }
        try "silent".write(toFile: "\(far.folder)/mood", atomically: true, encoding: .utf8)
        try wait(daemon, "silent") {
            ($0["gss"]?["reason"] as? String)?.contains("in time") ?? false && $0["soil"]?["state"] as? String == "ok"
        }
        try "well".write(toFile: "\(far.folder)/mood", atomically: true, encoding: .utf8)
        try wait(daemon, "back") { $0["gss"]?["state"] as? String == "warming" }
        // The probe is pulled out.
        try FileManager.default.removeItem(atPath: probe)
        try wait(daemon, "pulled") { $0["soil"]?["state"] as? String == "absent" }
        #expect(daemon.stop() == 0)
    }

    /// A shorted 1-Wire line, an S8 that says that it is broken, and an MH-Z19 that has just started.
    @Test func whatIsNoReadingIsNotKept() throws {
        let far = try FarEnd("serial_sensors.py")
        let probe = "\(far.folder)/w1_slave"
        func scratchpad(_ bytes: String, _ thousandths: Int) throws {
            let text = "\(bytes) : crc=\(bytes.suffix(2)) YES\n\(bytes) t=\(thousandths)\n"
            try text.write(toFile: probe, atomically: true, encoding: .utf8)
        }
        func kept(_ daemon: DaemonProcess, _ source: String) throws -> [Double] {
            let answer = try daemon.json("/api/v1/observations?source=\(source)&limit=1000")
            return (answer["observations"] as? [[String: Any]] ?? []).compactMap { $0["value"] as? Double }
        }
        try "broken".write(toFile: "\(far.folder)/mood", atomically: true, encoding: .utf8)
        try scratchpad("00 00 00 00 00 00 00 00 00", 0)
        let daemon = try DaemonProcess(settings: [
            "SENSORS": """
            s8=senseair_s8 port=\(far.folder)/s8 interval=0.2,co2=mhz19 port=\(far.folder)/mhz19 interval=0.2,\
            soil=ds18b20 path=\(probe) interval=0.2
            """, "LOG_LEVEL": "critical",
        ])
        try daemon.start()
        try wait(daemon, "faults") {
            $0["soil"]?["state"] as? String == "faulty" && $0["s8"]?["state"] as? String == "faulty"
                && $0["co2"]?["state"] as? String == "warming"
                && ($0["co2"]?["reason"] as? String)?.contains("started") ?? false
        }
        let page = try daemon.get("/metrics").body
        #expect(page.contains(#"edge_aggregator_sensor_state{sensor="soil",state="faulty"} 1"#))
        #expect(page.contains(#"edge_aggregator_sensor_state{sensor="soil",state="ok"} 0"#))
        #expect(page.contains(#"edge_aggregator_sensor_state{sensor="co2",state="warming"} 1"#))
        #expect(!page.contains("edge_aggregator_sensor_value{"))
        // A real 0 °C.
        try scratchpad("00 00 4b 46 7f ff 10 10 69", 0)
        try wait(daemon, "a real 0 °C") { $0["soil"]?["state"] as? String == "ok" }
        // Shorted again: its last value is no metric any more.
        try scratchpad("00 00 00 00 00 00 00 00 00", 0)
        try wait(daemon, "shorted") { $0["soil"]?["state"] as? String == "faulty" }
        let later = try daemon.get("/metrics").body
        #expect(!later.contains("edge_aggregator_sensor_value{"))
        try scratchpad("72 01 4b 46 7f ff 0e 10 57", 23_125)
        try wait(daemon, "well") { $0["soil"]?["state"] as? String == "ok" }
        try wait(daemon, "kept") { _ in (try? kept(daemon, "soil").contains(23.125)) ?? false }
        let co2 = try kept(daemon, "co2")
        let s8 = try kept(daemon, "s8")
        #expect(co2.isEmpty && s8.isEmpty)
        #expect(daemon.stop() == 0)
    }

    @Test func theDoctorAsksEachOnce() throws {
        let far = try FarEnd("serial_sensors.py")
        try Data().write(to: URL(fileURLWithPath: "\(far.folder)/settings.yaml"))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: TestFolders.program)
        process.arguments = ["doctor"]
        // With the test's own environment, in which the options of sanitizers are.
        process.environment = ProcessInfo.processInfo.environment.merging([
            "SENSORS":
                "s8=senseair_s8 port=\(far.folder)/s8,co2=mhz19 port=\(far.folder)/mhz19,lost=bme280 bus=/nowhere/i2c-9",
            "CONFIG_PATH": "\(far.folder)/settings.yaml", "BASE_DIR": far.folder, "ANALYZE_RECORDINGS": "false",
        ]) { $1 }
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let said = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(said.contains("OK    sensor s8: senseair_s8 at \(far.folder)/s8: co2 612.0 ppm"), "\(said)")
        #expect(said.contains("OK    sensor co2: mhz19") && said.contains("WARN  sensor lost: bme280"), "\(said)")
    }

    @Test(arguments: [
        ("x=bme281", "not a kind of sensor"), ("x=senseair_s8", "needs port="), ("x=scd4x altitude=3", "no option"),
        ("x=scd4x altitude_m=high", "altitude_m=high"), ("x=bme280 address=0x99", "0x03 to 0x77"),
        ("board=bme280", "the box's own"),
    ])
    func saysWhatIsWrongInTheSettings(text: String, wanted: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: TestFolders.program)
        process.arguments = ["settings", "check"]
        let folder = try TestFolders.temporary("edge-settings")
        defer { TestFolders.remove(folder) }
        try Data().write(to: URL(fileURLWithPath: "\(folder)/settings.yaml"))
        process.environment = ProcessInfo.processInfo.environment.merging([
            "SENSORS": text, "CONFIG_PATH": "\(folder)/settings.yaml",
        ]) { $1 }
        let output = Pipe()
        process.standardError = output
        process.standardOutput = output
        try process.run()
        let said = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus != 0 && said.contains(wanted), "\(said)")
    }
}
