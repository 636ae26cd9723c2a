import Logging
import Sensors

/// Decides whether a stream may begin.
struct StreamGate: Sendable {
    let house: ReceptionHouse
    let keeper: Doorkeeper
    let proxies: TrustedProxies

    enum Verdict: Sendable {
        case admitted(AdmittedStream)
        case missingID
        case badID
        case refused(ListenerID, reason: String)
    }

    /// - Parameters:
    ///   - remoteAddress: for people to read.
    ///   - address: by which the client is counted.
    ///   - close: closes the connection, from any thread.
    func judge(
        _ client: StreamRequest, isMock: Bool, remoteAddress: String, address: ClientAddress,
        close: @escaping @Sendable () -> Void
    ) -> Verdict {
        guard let text = client.listenerID else { return .missingID }
        guard let listener = ListenerID(text) else { return .badID }
        if case .refused(let reason) = keeper.listeners.judge(listener, token: client.token) {
            return .refused(listener, reason: reason)
        }
        let now = house.time.now()
        let isNamed = keeper.listeners.isNamed(listener)
        let connection = ListenerConnection(
            listener: listener, remoteAddress: remoteAddress, address: address, isNamed: isNamed,
            isNew: house.addresses.isNew(listener, isNamed: isNamed), now: now, close: close
        )
        do throws(ListenerRegistry.Refusal) {
            // What is rejected is judged twice, first by the ``StreamSwitch``, and counted not at all.
            let admission = try house.addresses.beginStream(
                of: listener, isNamed: isNamed, at: address, nowNanoseconds: now.monotonicNanoseconds
            ) { () throws(ListenerRegistry.Refusal) in try house.registry.admit(connection) }
            switch admission {
            case .failure(let refusal): return .refused(listener, reason: refusal.rawValue)
            case .success(let counter):
                let identity = SessionIdentity(
                    listener: listener, bootID: now.bootID, counter: counter, source: isMock ? "mock" : "stream")
                return .admitted(AdmittedStream(identity: identity, connection: connection))
            }
        } catch {
            return .refused(listener, reason: error.rawValue)
        }
    }
}

/// A stream that may begin; it counts as connected until ``ReceptionHouse/leave(_:reason:)``.
struct AdmittedStream: Sendable {
    let identity: SessionIdentity
    let connection: ListenerConnection

    /// What a stock client hears at the end of its stream.
    var answerBody: String { #"{"status":"ok","listener":"\#(identity.listener.text)"}"# }
}

extension ReceptionHouse {
    func enter(_ stream: AdmittedStream) {
        logger.info(
            "A listener has connected",
            metadata: ["session": "\(stream.identity.text)", "remote": "\(stream.connection.remoteAddress)"])
    }

    func leave(_ stream: AdmittedStream, reason: String) {
        registry.remove(stream.connection)
        logger.info(
            "A listener's stream has ended",
            metadata: [
                "session": "\(stream.identity.text)", "reason": "\(reason)",
                "bytes": "\(stream.connection.status.bytes)",
            ])
    }

    func leave(_ stream: AdmittedStream, failure: any Error) {
        registry.remove(stream.connection)
        logger.error(
            "A stream's end could not be written down",
            metadata: ["session": "\(stream.identity.text)", "error": "\(failure)"])
    }
}
