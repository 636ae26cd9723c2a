import EdgeTesting
import Foundation
import NIOCore
import NIOPosix
import TLS
import Testing

/// A server on loopback, asked by clients of OpenSSL and Python.
@Suite struct TLSServerHandlerTests {
    @Test(arguments: [
        "echo", "pieces", "give", "slow reader", "silent client", "half closed", "protocols", "old versions",
        "renegotiation", "resumption", "no handshake", "broken record", "close at once",
    ])
    func holds(_ name: String) async throws {
        let folder = try TestFolders.temporary("edge-tls")
        defer { TestFolders.remove(folder) }
        try Identity.make("localhost", in: folder)
        let identity = try TLSIdentity(certificatePath: "\(folder)/cert.pem", keyPath: "\(folder)/key.pem")
        let open = OpenConnections()
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(TLSServerHandler(identity: identity))
                    try channel.pipeline.syncOperations.addHandler(AnsweringHandler(open))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(server.localAddress?.port)
        let seed = ProcessInfo.processInfo.environment["EDGE_SEED"] ?? "1"
        let client = try run([
            "python3", "\(TestFolders.root)/Tests/Doubles/tls_client.py", "\(port)", "\(folder)/cert.pem", name, seed,
        ])
        #expect(client.status == 0, "\(client.text)")
        // Whatever the client did, no connection stays behind.
        for _ in 0..<1200 where open.count > 0 { try await Task.sleep(for: .milliseconds(100)) }
        #expect(open.count == 0)
        // What was sent before a close is received, whether the client has read or not.
        if name == "close at once" { #expect(open.keptBytes == 40 * 200_000) }
        try await server.close()
    }
}

@Suite struct TLSIdentityTests {
    @Test func saysWhichFileIsWrongAndWhy() throws {
        let folder = try TestFolders.temporary("edge-tls")
        defer { TestFolders.remove(folder) }
        try Identity.make("one", in: folder)
        let certificate = "\(folder)/cert.pem"
        let key = "\(folder)/key.pem"
        func reason(_ certificate: String, _ key: String) -> String {
            do throws(TLSError) {
                _ = try TLSIdentity(certificatePath: certificate, keyPath: key)
                return "none"
            } catch {
                return error.description
            }
        }
        #expect(reason(certificate, key) == "none")
        #expect(
            reason("\(folder)/missing.pem", key) == "the certificate cannot be read: No such file or directory")
        #expect(reason(certificate, "\(folder)/missing.pem") == "the key cannot be used: No such file or directory")
        #expect(reason(key, key) == "the certificate cannot be read: no start line")
        for (name, text) in [("empty", ""), ("rubbish", "rubbish\n\u{0}")] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name).pem"))
            #expect(reason("\(folder)/\(name).pem", key) == "the certificate cannot be read: no start line")
            #expect(reason(certificate, "\(folder)/\(name).pem").hasPrefix("the key cannot be used: "))
        }
        let other = try run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", "\(folder)/other.pem"])
        #expect(other.status == 0, "\(other.text)")
        #expect(reason(certificate, "\(folder)/other.pem").hasPrefix("the key "))
        // libssl would ask for the passphrase on the terminal, and a service has none.
        let encrypted = try run([
            "openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", "\(folder)/encrypted.pem",
        ])
        #expect(encrypted.status == 0, "\(encrypted.text)")
        #expect(reason(certificate, "\(folder)/encrypted.pem").hasPrefix("the key cannot be used: "))
        // What failed before leaves nothing behind in this thread.
        #expect(reason(certificate, key) == "none")
    }
}
