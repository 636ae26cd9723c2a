import Hummingbird
import NIOCore

/// What a route knows of its request beside the request itself.
struct EdgeContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// The connection, for routes that must close it.
    let channel: any Channel
    /// The address of whoever asks, without a port. ``ClientAddresses`` looks behind proxies.
    var client: String

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
        client = channel.farAddress
    }

    /// Whoever asks, for people to read: with the port where nobody stands between.
    var remoteAddress: String { channel.address(of: client) }
}
