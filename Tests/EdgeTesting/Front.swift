import Foundation

/// What may stand between the box and a far end: nghttpx, which speaks TLS, HTTP/2 and IPv6 before a plain server, or a
/// forward proxy.
public final class Front {
    public enum Kind: String, Sendable, CaseIterable {
        /// TLS and HTTP/2 with a certificate of the authority in ``certificateFile``.
        case tls
        /// The same with a certificate that ended long ago.
        case expired
        /// Plain HTTP on `[::1]`.
        case ipv6
        /// A forward proxy; it has no server behind it.
        case proxy
    }

    public let port: Int
    /// The authority to trust.
    public let certificateFile: String
    private let folder: String
    private let program: TestProgram

    /// - Parameter port: of the plain server behind.
    public init(_ kind: Kind, before server: Int) throws {
        folder = try TestFolders.temporary("edge-front")
        port = try TestFolders.freePort()
        certificateFile = "\(folder)/authority.pem"
        switch kind {
        case .tls, .expired:
            try Self.makeCertificates(folder: folder, isExpired: kind == .expired)
            program = try TestProgram(
                "nghttpx",
                Self.options(folder) + [
                    "--frontend=127.0.0.1,\(port)", "--backend=127.0.0.1,\(server)", "\(folder)/key.pem",
                    "\(folder)/certificate.pem",
                ])
        case .ipv6:
            program = try TestProgram(
                "nghttpx",
                Self.options(folder) + ["--frontend=::1,\(port);no-tls", "--backend=127.0.0.1,\(server)"])
        case .proxy:
            try "Port \(port)\nListen 127.0.0.1\nLogFile \"\(folder)/log\"\nLogLevel Connect\nMaxClients 20\n".write(
                toFile: "\(folder)/tinyproxy.conf", atomically: true, encoding: .utf8)
            program = try TestProgram("tinyproxy", ["-d", "-c", "\(folder)/tinyproxy.conf"])
        }
        for _ in 0..<200 {
            if (try? RawConnection(port: port, host: kind == .ipv6 ? "::1" : "127.0.0.1")) != nil { return }
            usleep(20_000)
        }
        throw TestFolders.Missing(description: "the \(kind.rawValue) front did not start")
    }

    private static func options(_ folder: String) -> [String] {
        [
            "--conf=/dev/null", "--workers=1", "--no-ocsp", "--errorlog-file=/dev/null",
            "--accesslog-file=\(folder)/log", "--accesslog-format=$alpn $method $status",
        ]
    }

    private static func makeCertificates(folder: String, isExpired: Bool) throws {
        func openssl(_ arguments: [String], at time: String? = nil) throws {
            let environment =
                time.map { ["LD_PRELOAD": "\(TestProgram.tools)/lib/libfaketime.so.1", "FAKETIME": $0] } ?? [:]
            guard try TestProgram("/usr/bin/openssl", arguments, environment: environment).wait() == 0 else {
                throw TestFolders.Missing(description: "openssl \(arguments.joined(separator: " ")) failed")
            }
        }
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        try openssl(
            ["req", "-x509"] + curve + [
                "-days", "20000", "-subj", "/CN=Test authority", "-keyout", "\(folder)/authority-key.pem", "-out",
                "\(folder)/authority.pem",
            ], at: isExpired ? "2015-01-01 00:00:00" : nil)
        try openssl(
            ["req"] + curve + [
                "-subj", "/CN=localhost", "-keyout", "\(folder)/key.pem", "-out", "\(folder)/request.pem",
            ])
        try "subjectAltName=DNS:localhost,IP:127.0.0.1\n".write(
            toFile: "\(folder)/names", atomically: true, encoding: .utf8)
        try openssl(
            [
                "x509", "-req", "-in", "\(folder)/request.pem", "-CA", "\(folder)/authority.pem", "-CAkey",
                "\(folder)/authority-key.pem", "-CAcreateserial", "-days", "30", "-extfile", "\(folder)/names", "-out",
                "\(folder)/certificate.pem",
            ], at: isExpired ? "2015-02-01 00:00:00" : nil)
    }

    /// What went through it, a line each.
    public var log: String { (try? String(contentsOfFile: "\(folder)/log", encoding: .utf8)) ?? "" }

    deinit {
        program.stop()
        TestFolders.remove(folder)
    }
}
