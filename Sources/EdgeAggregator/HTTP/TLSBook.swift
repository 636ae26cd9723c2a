import Foundation
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOSSL
import Synchronization

/// The certificate with which connections are answered. A new one counts for connections that begin after it was read; those
/// that are open go on.
final class TLSBook: Sendable {
    struct Unusable: Error, CustomStringConvertible {
        let description: String
    }

    private let settings: AccessSettings.TLS
    private let context: Mutex<NIOSSLContext>

    /// - Throws: ``Unusable``, when the files do not make an identity.
    init(_ settings: AccessSettings.TLS) throws {
        self.settings = settings
        context = Mutex(try Self.read(settings))
    }

    /// Reads the files again; when they are no good the former identity stays.
    func reload() throws {
        let new = try Self.read(settings)
        context.withLock { $0 = new }
    }

    var current: NIOSSLContext { context.withLock { $0 } }

    private static func read(_ settings: AccessSettings.TLS) throws -> NIOSSLContext {
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(settings.certificatePath)
            guard !chain.isEmpty else {
                throw Unusable(description: "\(settings.certificatePath) has no certificate")
            }
            let key = try NIOSSLPrivateKey(file: settings.keyPath, format: .pem)
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
            configuration.minimumTLSVersion = .tlsv12
            configuration.applicationProtocols = ["http/1.1"]
            return try NIOSSLContext(configuration: configuration)
        } catch let error as Unusable {
            throw error
        } catch {
            throw Unusable(
                description:
                    "\(settings.certificatePath) and \(settings.keyPath) make no TLS identity: \(error). Both are PEM; the key belongs to the first certificate."
            )
        }
    }
}

/// An HTTP/1.1 connection inside TLS. Its streams go through the general route: their sockets carry cipher text, which the
/// ``IngestLoop`` cannot read.
struct EncryptedChannel: ServerChildChannel {
    typealias Value = HTTP1Channel.Value

    let http: HTTP1Channel
    let book: TLSBook

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        do {
            try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: book.current))
        } catch {
            return channel.eventLoop.makeFailedFuture(error)
        }
        return http.setup(channel: channel, logger: logger)
    }

    func handle(value: Value, logger: Logger) async {
        await http.handle(value: value, logger: logger)
    }
}
