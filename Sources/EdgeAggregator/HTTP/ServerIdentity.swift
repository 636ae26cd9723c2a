import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import Synchronization
import TLS

/// The certificate and key that new TLS connections use. Open connections keep the identity with which they began.
final class ServerIdentity: Sendable {
    struct Unusable: Error, CustomStringConvertible {
        let description: String
    }

    private let settings: AccessSettings.TLS
    private let identity: Mutex<TLSIdentity>

    /// - Throws: ``Unusable`` if the files do not make an identity.
    init(_ settings: AccessSettings.TLS) throws(Unusable) {
        self.settings = settings
        identity = Mutex(try Self.read(settings))
    }

    /// Reads the files again. If they do not make an identity, the former one stays.
    func reload() throws(Unusable) {
        let new = try Self.read(settings)
        identity.withLock { $0 = new }
    }

    var current: TLSIdentity { identity.withLock { $0 } }

    private static func read(_ settings: AccessSettings.TLS) throws(Unusable) -> TLSIdentity {
        do {
            return try TLSIdentity(certificatePath: settings.certificatePath, keyPath: settings.keyPath)
        } catch {
            throw Unusable(
                description:
                    "\(settings.certificatePath) and \(settings.keyPath) make no TLS identity: \(error). Both must be PEM files, and the key must belong to the first certificate and have no passphrase."
            )
        }
    }
}

/// An HTTP/1.1 connection inside TLS. Its streams take the general route: their sockets carry encrypted bytes, which the
/// ``IngestLoop`` cannot read.
struct EncryptedChannel: ServerChildChannel {
    typealias Value = HTTP1Channel.Value

    let http: EdgeHTTPChannel
    let identity: ServerIdentity

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        do {
            try channel.pipeline.syncOperations.addHandler(TLSServerHandler(identity: identity.current))
        } catch {
            return channel.eventLoop.makeFailedFuture(error)
        }
        return http.setup(channel: channel, logger: logger)
    }

    func handle(value: Value, logger: Logger) async {
        await http.handle(value: value, logger: logger)
    }
}
