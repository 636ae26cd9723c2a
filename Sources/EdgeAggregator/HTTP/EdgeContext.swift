import Hummingbird
import NIOCore

/// What a route knows of its request beside the request itself.
struct EdgeContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// The connection, for routes that must close it.
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }

    var remoteAddress: String { channel.remoteAddressText }
}
