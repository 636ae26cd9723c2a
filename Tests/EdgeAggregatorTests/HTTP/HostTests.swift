import Testing

@testable import EdgeAggregator

/// Which values of `Host` name the box. Forms: RFC 9110 §7.2, RFC 3986 §3.2.2, RFC 6762 §3.
@Suite struct HostTests {
    private let known = KnownHosts(configured: Set(["birds.example.org", "edge-aggregator"].compactMap(HostName.init)))

    @Test(arguments: [
        "localhost", "localhost:8000", "LOCALHOST:8000", "localhost.", "localhost.:8000", "localhost:", "127.0.0.1",
        "127.0.0.1:8000", "192.168.1.20:80", "203.0.113.9", "[::1]", "[::1]:8000", "[2001:db8::7]:443", "[FE80::1]",
        "[fe80::1%25eth0]:8000", "[fe80::1%eth0]", "[::ffff:192.0.2.1]", "raspberrypi", "raspberrypi:8000",
        "RaspberryPi.local", "raspberrypi.local.", "raspberrypi.local:8000", "birds.example.org",
        "Birds.Example.ORG.:443",
        "edge-aggregator:8000",
    ]) func knows(host: String) {
        #expect(known.contains(host, ownName: "raspberrypi"))
    }

    @Test(arguments: [
        "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1.nip.io",
        "raspberrypi.evil.example", "raspberrypi.lan", "evil.local", "x.raspberrypi.local", "xraspberrypi",
        "raspberrypi.local..",
        "birds.example.org.evil.example", "x.birds.example.org", "example.org", "[::1].evil.example", "[evil.example]",
        "[::1", "::1", "[127.0.0.1]", "[]", "127.0.0.1@evil.example", "evil.example@127.0.0.1", "localhost:80:80",
        "localhost:evil", "localhost, evil.example", "localhost/evil", " localhost", "1.2.3", "0x7f.0.0.1", "256.1.1.1",
        "", ".", ":8000", "löcalhost", "localhost\u{0}", "raspberrypi\u{E9}",
    ]) func doesNotKnow(host: String) {
        #expect(!known.contains(host, ownName: "raspberrypi"))
    }

    @Test func takesTheFirstLabelOfAWholeOwnName() {
        for host in ["pi7.site.example.org", "pi7", "pi7.local"] {
            #expect(known.contains(host, ownName: "Pi7.site.example.org"), "\(host)")
        }
        for host in ["site.example.org", "pi7.site", "site", "site.local", "pi7.example.org"] {
            #expect(!known.contains(host, ownName: "Pi7.site.example.org"), "\(host)")
        }
        // A machine without a name makes nothing known.
        for host in ["", "local", ".local", "evil.example"] { #expect(!known.contains(host, ownName: "")) }
    }

    /// RFC 9112 §3.2: of the four forms of a target only the absolute one has the host.
    @Test(
        arguments: [
            ("http://evil.example/api", "evil.example"), ("HTTP://Box:8000", "Box:8000"),
            ("https://[::1]:8000/", "[::1]:8000"),
            ("http://box?x", "box"), ("http://a@box/", "a@box"), ("/", nil), ("/http://box/", nil), ("*", nil),
            ("box:443", nil), ("ftp://box/", nil), ("//box/", nil),
        ] as [(String, String?)]) func authorityOfATarget(target: String, authority: String?)
    {
        #expect(AbsoluteFormHandler.authority(target).map(String.init) == authority)
    }
}
