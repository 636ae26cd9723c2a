import EdgeTesting
import Foundation
import Testing

/// Files of one's own in `var/pub/`, over raw sockets.
struct PublicFileTests {
    private func daemon() throws -> DaemonProcess {
        let daemon = try DaemonProcess()
        let pub = "\(daemon.folder)/var/pub"
        try FileManager.default.createDirectory(atPath: "\(pub)/maps", withIntermediateDirectories: true)
        for (name, text) in [
            ("map.html", "<p>a map"), ("maps/my tiles.json", "{}"), (".htpasswd", "secret"),
            ("pings_summary.html", "of the replaced server"), ("table.tsv", "0123456789"),
        ] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: "\(pub)/\(name)"))
        }
        try FileManager.default.createSymbolicLink(atPath: "\(pub)/out", withDestinationPath: "../../edge.db")
        try daemon.start()
        return daemon
    }

    private func ask(
        _ daemon: DaemonProcess, _ path: String, method: String = "GET", headers: [String] = []
    ) throws -> (status: String, headers: [String: String], body: String) {
        let connection = try RawConnection(port: daemon.port)
        let lines = ["\(method) \(path) HTTP/1.1", "Host: localhost", "Connection: close"] + headers
        try connection.send(lines.joined(separator: "\r\n") + "\r\n\r\n")
        let raw = try connection.readToEnd()
        let parts = raw.components(separatedBy: "\r\n\r\n")
        let head = parts[0].components(separatedBy: "\r\n")
        var fields: [String: String] = [:]
        for line in head.dropFirst() {
            let halves = line.components(separatedBy: ": ")
            fields[halves[0].lowercased()] = halves.dropFirst().joined(separator: ": ")
        }
        return (
            head[0].components(separatedBy: " ").dropFirst().first ?? "", fields,
            parts.dropFirst().joined(separator: "\r\n\r\n")
        )
    }

    @Test func areServedUnderTheAddressesOfTheReplacedServer() throws {
        let daemon = try daemon()
        for (prefix, seconds) in [("/var/pub", 43_200), ("/status/alive", 590), ("/data/co2", 3590)] {
            let answer = try ask(daemon, "\(prefix)/map.html")
            #expect(answer.status == "200" && answer.body == "<p>a map")
            #expect(answer.headers["content-type"] == "text/html; charset=utf-8")
            #expect(answer.headers["content-length"] == "8")
            #expect(answer.headers["cache-control"] == "public, max-age=\(seconds)")
            #expect(answer.headers["x-content-type-options"] == "nosniff")
            let nested = try ask(daemon, "\(prefix)/maps/my%20tiles.json")
            #expect(nested.status == "200" && nested.body == "{}")
            #expect(nested.headers["content-type"] == "application/json")
        }
        // Pages that the box makes keep their addresses.
        for path in ["/status/alive/summary", "/var/pub/pings_summary.html", "/var/pub/pings_all_tiered.svg"] {
            let answer = try ask(daemon, path)
            #expect(answer.status == "200" && !answer.body.contains("of the replaced server"))
            let head = try ask(daemon, path, method: "HEAD")
            #expect(head.status == "200" && head.body.isEmpty)
            #expect(head.headers["content-length"] == answer.headers["content-length"])
        }
        #expect(try ask(daemon, "/status/alive/recent", method: "HEAD").status == "200")
    }

    @Test func nothingElseIsServed() throws {
        let daemon = try daemon()
        for path in [
            "/var/pub/.htpasswd", "/var/pub/%2ehtpasswd", "/var/pub/maps", "/var/pub/maps/", "/var/pub/",
            "/var/pub/out",
            "/var/pub/../../edge.db", "/var/pub/..%2f..%2fedge.db", "/var/pub/%2e%2e/%2e%2e/edge.db",
            "/var/pub/maps/../map.html", "/var/pub//etc/passwd", "/var/pub/%00", "/var/pub/none.html",
            "/status/alive/..%2f..%2f..%2fedge.db", "/data/co2/.htpasswd",
        ] {
            let answer = try ask(daemon, path)
            #expect(answer.status == "404" || answer.status == "400", "\(path): \(answer)")
            #expect(!answer.body.contains("secret") && !answer.body.contains("SQLite"), "\(path)")
        }
        let put = try ask(daemon, "/var/pub/map.html", method: "PUT", headers: ["Content-Length: 0"])
        #expect(put.status.hasPrefix("4"))
    }

    @Test func aBrowserThatHasAFileIsToldSo() throws {
        let daemon = try daemon()
        let first = try ask(daemon, "/var/pub/table.tsv")
        let tag = try #require(first.headers["etag"])
        let time = try #require(first.headers["last-modified"])
        #expect(time.contains(/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/))
        for header in [
            "If-None-Match: \(tag)", "If-None-Match: \"x\", W/\(tag)", "If-None-Match: *", "If-Modified-Since: \(time)",
        ] {
            let answer = try ask(daemon, "/var/pub/table.tsv", headers: [header])
            #expect(answer.status == "304" && answer.body.isEmpty, "\(header)")
            #expect(answer.headers["etag"] == tag)
        }
        for headers in [
            ["If-None-Match: \"x\""], ["If-None-Match: \"x\"", "If-Modified-Since: \(time)"],
            ["If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT"],
        ] {
            #expect(try ask(daemon, "/var/pub/table.tsv", headers: headers).body == "0123456789")
        }
        let head = try ask(daemon, "/var/pub/table.tsv", method: "HEAD")
        #expect(head.status == "200" && head.body.isEmpty && head.headers["content-length"] == "10")
        let part = try ask(daemon, "/var/pub/table.tsv", headers: ["Range: bytes=2-4"])
        #expect(part.status == "206" && part.body == "234" && part.headers["content-range"] == "bytes 2-4/10")
        #expect(try ask(daemon, "/var/pub/table.tsv", headers: ["Range: bytes=10-"]).status == "416")
        let other = try ask(daemon, "/var/pub/table.tsv", headers: ["Range: bytes=2-4", "If-Range: \"x\""])
        #expect(other.status == "200" && other.body == "0123456789")
        // A new content has a new tag.
        try Data("another".utf8).write(to: URL(fileURLWithPath: "\(daemon.folder)/var/pub/table.tsv"))
        #expect(try ask(daemon, "/var/pub/table.tsv", headers: ["If-None-Match: \(tag)"]).body == "another")
    }

    /// A file is sent in pieces: the daemon's memory does not grow by its size. One that is too large is rejected.
    @Test func largeFilesAreSentInPieces() throws {
        let daemon = try daemon()
        let path = "\(daemon.folder)/var/pub/large.bin"
        for (name, size) in [("large.bin", 200_000_000), ("huge.bin", 1 << 30 + 1)] {
            let file = "\(daemon.folder)/var/pub/\(name)"
            try Data().write(to: URL(fileURLWithPath: file))
            #expect(truncate(file, size) == 0)
        }
        #expect(FileManager.default.fileExists(atPath: path))
        func peakKilobytes() throws -> Int {
            let status = try String(contentsOfFile: "/proc/\(daemon.pid)/status", encoding: .utf8)
            return status.firstMatch(of: /VmHWM:\s+(\d+) kB/).flatMap { Int($0.1) } ?? 0
        }
        let before = try peakKilobytes()
        let answer = try TestProgram(
            "/usr/bin/env",
            [
                "python3", "-c",
                """
                import sys, urllib.request
                answer = urllib.request.urlopen(sys.argv[1])
                size = 0
                while piece := answer.read(65536):
                    size += len(piece)
                sys.exit(0 if size == 200_000_000 else 1)
                """, "http://localhost:\(daemon.port)/var/pub/large.bin",
            ])
        #expect(answer.wait() == 0)
        #expect(try peakKilobytes() - before < 60_000)
        #expect(try ask(daemon, "/var/pub/huge.bin", method: "HEAD").status == "403")
    }
}
