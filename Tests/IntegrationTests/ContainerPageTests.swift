import EdgeTesting
import Foundation
import Testing

/// The `docker run` lines of docs/container.md: the daemon, with the variables of the image and of the line, answers on the ports that
/// the line publishes.
@Suite(.serialized) struct ContainerPageTests {
    private struct Run {
        var ports: [(outside: Int, inside: Int)] = []
        var variables: [String: String] = [:]
    }

    /// The lines that start the daemon, as a shell reads them.
    private func runs() throws -> [Run] {
        let page = try String(contentsOfFile: "\(TestFolders.root)/docs/container.md", encoding: .utf8)
        return page.replacing("\\\n", with: " ").split(separator: "\n").filter { $0.hasPrefix("docker run -d ") }.map {
            line in
            var run = Run()
            let words = line.split(separator: " ").map(String.init)
            for (word, next) in zip(words, words.dropFirst()) {
                let parts = next.split(separator: word == "-e" ? "=" : ":", maxSplits: 1).map(String.init)
                if word == "-p", parts.count == 2, let outside = Int(parts[0]), let inside = Int(parts[1]) {
                    run.ports.append((outside, inside))
                }
                if word == "-e" { run.variables[parts[0]] = parts.count == 2 ? parts[1] : "" }
            }
            return run
        }
    }

    /// The ports of the image's own `LISTEN`.
    private func imagePorts() throws -> [Int] {
        let file = try String(contentsOfFile: "\(TestFolders.root)/Dockerfile", encoding: .utf8)
        let listen = try #require(file.firstMatch(of: /\nENV LISTEN=(\S+)\n/)).1
        return listen.split(separator: ",").compactMap { Int($0.split(separator: ":").last ?? "") }
    }

    @Test func publishTheReplacedServicesPorts() throws {
        let image = try imagePorts()
        #expect(image == [8000, 8080, 5000, 9100, 9000])
        let runs = try runs()
        // One for each replaced service, the sync receiver, and the archive.
        #expect(runs.count == 7)
        for port in [8080, 5000, 9100, 9000, 80, 8000, 8001] {
            #expect(runs.contains { $0.ports.contains { $0.outside == port } }, "\(port)")
        }
        // 8001 has the metrics.
        for run in runs { #expect(run.ports.allSatisfy { image.contains($0.inside) || $0.inside == 8001 }) }
    }

    /// Each service's clients are answered on its port, whatever else the line sets.
    @Test func answerTheReplacedServicesClients() throws {
        let image = try imagePorts()
        for run in try runs() {
            let here = try Dictionary(uniqueKeysWithValues: image.map { ($0, try TestFolders.freePort()) })
            var settings = run.variables
            settings["LISTEN"] = image.compactMap { port in here[port].map { "127.0.0.1:\($0)" } }.joined(
                separator: ",")
            settings["ANALYZE_RECORDINGS"] = "false"
            settings["NODE_ADMISSION"] = "open"
            // Nobody is there in the test; the names of the page's examples lead nowhere.
            for name in ["MQTT_SERVER", "ISEMS_ROUTER_IPS"] where settings[name] != nil { settings[name] = "127.0.0.1" }
            settings["NOAA_GFS_BASE_URL"] = "http://127.0.0.1:9"
            settings["COPERNICUS_CONFIG_URL"] = "http://127.0.0.1:9/config"
            settings["LOG_LEVEL"] = "critical"
            let daemon = try DaemonProcess(settings: settings)
            try daemon.start()
            for (_, inside) in run.ports where inside != 8001 {
                let port = try #require(here[inside])
                let (method, path, status) =
                    switch inside {
                    case 8080: ("POST", "/ou/co2unit-30aea42a5140/alive?site_code=x&rssi_raw=1&rssi_dbm=-70", 200)
                    case 5000: ("GET", "/measurements/latest", 200)
                    case 9100: ("GET", "/stats", 200)
                    // Without a file, as the receiver answered it.
                    case 9000: ("POST", "/", 422)
                    default: ("GET", "/healthz", 200)
                    }
                let answer = try DaemonProcess.request(method, path, port: port)
                #expect(answer.status == status, "\(method) \(path) on \(inside): \(answer)")
                if run.variables["FORECASTS"] != nil {
                    // Where no box of coordinates is named.
                    #expect(try DaemonProcess.request("GET", "/v1/data/wind", port: port).status == 400)
                }
            }
            #expect(daemon.stop() == 0)
        }
    }
}
