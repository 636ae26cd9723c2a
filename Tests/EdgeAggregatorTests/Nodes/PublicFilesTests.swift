import EdgeTesting
import Foundation
import Testing

@testable import EdgeAggregator

/// Which files of `var/pub/` are served.
struct PublicFilesTests {
    @Test(arguments: [
        "", "/", "a/", "/a", "a//b", ".", "..", "../x", "a/../b", "%2e%2e/x", "..%2Fx", "a%2Fb", "a%5Cb", ".hidden",
        "a/.hidden/b", "a%00b", "a%0Ab", "%zz", "%FF", String(repeating: "n", count: 256), "1/2/3/4/5/6/7/8/9",
    ])
    func isNoName(_ path: String) {
        #expect(PublicFiles.names(path) == nil)
    }

    @Test func namesAreDecoded() {
        #expect(PublicFiles.names("maps/my%20map%C3%A9.html") == ["maps", "my map\u{E9}.html"])
        #expect(PublicFiles.names("a%2525") == ["a%25"])
    }

    @Test func linksMayNotLeaveTheFolder() throws {
        let place = try TestFolders.temporary("edge-pub")
        defer { TestFolders.remove(place) }
        let files = FileManager.default
        try files.createDirectory(atPath: "\(place)/pub/maps/.git", withIntermediateDirectories: true)
        try files.createDirectory(atPath: "\(place)/public", withIntermediateDirectories: true)
        for name in ["secret", "public/x", "pub/map.html", "pub/maps/tile.png", "pub/maps/.git/config"] {
            try Data(name.utf8).write(to: URL(fileURLWithPath: "\(place)/\(name)"))
        }
        for (link, target) in [
            ("out", "../secret"), ("passwd", "/etc/passwd"), ("folder", ".."), ("beside", "../public"),
            ("hidden", "maps/.git/config"), ("null", "/dev/null"), ("loop", "loop"), ("missing", "nothing"),
            ("newest.png", "maps/tile.png"),
        ] {
            try files.createSymbolicLink(atPath: "\(place)/pub/\(link)", withDestinationPath: target)
        }
        #expect(mkfifo("\(place)/pub/pipe", 0o600) == 0)
        let executor = IngestExecutor(threads: 1, name: "test")
        defer { executor.stop() }
        let pub = PublicFiles(folder: "\(place)/pub", executor: executor)
        func content(_ path: String) -> String? {
            PublicFiles.names(path).flatMap { pub.open($0) }.flatMap { file in
                (try? file.handle.readToEnd()).map { String(decoding: $0, as: UTF8.self) }
            }
        }
        #expect(content("map.html") == "pub/map.html")
        #expect(content("maps/tile.png") == "pub/maps/tile.png")
        #expect(content("newest.png") == "pub/maps/tile.png")
        for path in [
            "out", "passwd", "folder/secret", "folder/pub/map.html/x", "beside/x", "hidden", "null", "loop", "missing",
            "pipe", "maps", "none",
        ] {
            #expect(content(path) == nil, "\(path)")
        }
        // By way of a link that leads out and in again, a file is still one of the folder.
        #expect(content("folder/pub/map.html") == "pub/map.html")
    }

    @Test func timesAreThoseOfHTTP() {
        // The example of RFC 9110 §5.6.7.
        #expect(PublicFiles.httpDate(784_111_777_000_000_000) == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(PublicFiles.httpDate(0) == "Thu, 01 Jan 1970 00:00:00 GMT")
        #expect(PublicFiles.httpDate(-1) == "Wed, 31 Dec 1969 23:59:59 GMT")
    }

    @Test func typesAreByTheEnding() {
        #expect(PublicFiles.type("map.HTML") == "text/html; charset=utf-8")
        #expect(PublicFiles.type("a.b.svg") == "image/svg+xml")
        #expect(PublicFiles.type("html") == "application/octet-stream")
        #expect(PublicFiles.type("x.exe") == "application/octet-stream")
    }
}
