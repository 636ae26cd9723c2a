import CMosquitto
import Foundation
import Synchronization

/// One connection to a broker, which comes back by itself: libmosquitto on a thread of its own, MQTT 5, QoS 1.
///
/// MQTT 5 is what tells a denied publish (reason 135) from a taken one.
///
/// Memory: `handle` is made in `init` and destroyed in `deinit`; it does not leave this object. libmosquitto locks for itself.
/// Its texts of errors and reasons are constants of the library.
@safe final class MQTTConnection: @unchecked Sendable {
    enum Failure: Error, Equatable {
        case notConnected(reason: String)
        case unauthorised(reason: String)
        /// The broker took the connection, and not this message.
        case denied(reason: String)
    }

    private struct State {
        var isConnected = false
        var reason = "not connected yet"
        var isUnauthorised = false
        var isRunning = false
        var waiting: [Int32: CheckedContinuation<Result<Void, Failure>, Never>] = [:]
        var losses = ConnectionLosses()
        /// The cause that was reported last, so that it is reported once.
        var isWarned = false
    }

    /// Messages without an answer that libmosquitto may have at a time.
    static let mostInFlight = 100

    let configuration: MQTTConfiguration
    private let state = Mutex(State())
    private let isStopping = Atomic<Bool>(false)
    private let hasEnded = DispatchSemaphore(value: 0)
    private let handle: OpaquePointer
    private let onConnect: @Sendable () -> Void
    private let onMessage: @Sendable (_ topic: String, _ payload: [UInt8]) -> Bool
    private let onWarning: @Sendable (_ reason: String) -> Void

    /// - Parameters:
    ///   - onConnect: called on libmosquitto's thread, at each connection.
    ///   - onMessage: called there, for messages of the subscriptions; the broker hears that a message has arrived after this
    ///     returns. False when it could not be kept: then the connection is broken off, so that the broker sends it again.
    ///   - onWarning: called there, once, when connections end again and again for a cause that somebody must remove.
    init(
        configuration: MQTTConfiguration, onConnect: @escaping @Sendable () -> Void,
        onMessage: @escaping @Sendable (_ topic: String, _ payload: [UInt8]) -> Bool,
        onWarning: @escaping @Sendable (_ reason: String) -> Void = { _ in }
    ) throws(Failure) {
        mosquitto_lib_init()
        self.configuration = configuration
        self.onConnect = onConnect
        self.onMessage = onMessage
        self.onWarning = onWarning
        // Memory: libmosquitto copies the client's name. It keeps the address of this object for the callbacks, which it calls
        // only from `mosquitto_loop`: on the thread that retains this object.
        guard let handle = unsafe mosquitto_new(configuration.clientID, !configuration.keepsSession, nil) else {
            throw .notConnected(reason: "libmosquitto could not be started")
        }
        unsafe self.handle = handle
        unsafe mosquitto_user_data_set(handle, Unmanaged.passUnretained(self).toOpaque())
        unsafe mosquitto_int_option(
            handle, MOSQ_OPT_PROTOCOL_VERSION,
            Int32(configuration.isOldProtocol ? MQTT_PROTOCOL_V311 : MQTT_PROTOCOL_V5))
        unsafe mosquitto_max_inflight_messages_set(handle, UInt32(Self.mostInFlight))
        // Messages come from other threads than the one that runs the loop below.
        unsafe mosquitto_threaded_set(handle, true)
        try setUp()
        setCallbacks()
    }

    /// Begins to connect.
    func start() {
        let thread = Thread { [self] in
            work()
            hasEnded.signal()
        }
        thread.name = "mqtt"
        thread.start()
        state.withLock { $0.isRunning = true }
    }

    /// Connects, keeps the connection going, and connects again when it ends. libmosquitto's own thread gives up for good
    /// when the first attempt fails in some ways.
    private func work() {
        var pause = 1.0
        while !isStopping.load(ordering: .relaxed) {
            var result = connect()
            if result != 0 {
                let reason =
                    unsafe result == Int32(MOSQ_ERR_ERRNO.rawValue)
                    ? String(cString: strerror(errno)) : String(cString: mosquitto_strerror(result))
                state.withLock { state in
                    state.isConnected = false
                    state.reason = "\(configuration.host):\(configuration.port): \(reason)"
                    state.losses.couldNotConnect()
                }
            }
            while result == 0, !isStopping.load(ordering: .relaxed) {
                result = unsafe mosquitto_loop(handle, 1000, 1)
                if state.withLock({ $0.isConnected }) { pause = 1 }
            }
            // libmosquitto does not report every end. ``publish(_:_:retain:)`` must see this one before `connect` replaces the
            // descriptors that it writes to.
            if result != 0, state.withLock({ $0.isConnected }) { disconnected(result) }
            pause = max(pause, state.withLock { $0.losses.pauseSeconds })
            // Spread, so that a fleet does not come back all at once.
            let end = ContinuousClock.now + .seconds(pause * Double.random(in: 0.5...1))
            while ContinuousClock.now < end, !isStopping.load(ordering: .relaxed) { Thread.sleep(forTimeInterval: 0.1) }
            pause = min(pause * 2, 60)
        }
        // Says good-bye as far as the connection still takes it.
        var rounds = 0
        while rounds < 10, unsafe mosquitto_loop(handle, 50, 1) == 0 { rounds += 1 }
    }

    /// How long the broker keeps the session without a connection: a week offline is nothing unusual.
    private static let sessionExpirySeconds: UInt32 = 30 * 86_400

    /// Memory: the properties are made and freed here. libmosquitto copies them, and the address, during the call.
    private func connect() -> Int32 {
        var properties: OpaquePointer?
        if !configuration.isOldProtocol, configuration.keepsSession {
            unsafe mosquitto_property_add_int32(
                &properties, Int32(MQTT_PROP_SESSION_EXPIRY_INTERVAL.rawValue), Self.sessionExpirySeconds)
        }
        defer { unsafe mosquitto_property_free_all(&properties) }
        return unsafe mosquitto_connect_bind_v5(
            handle, configuration.host, Int32(configuration.port), 30, nil, properties)
    }

    /// Memory: libmosquitto copies the names, the password, the paths and the will during the calls.
    private func setUp() throws(Failure) {
        if !configuration.user.isEmpty {
            unsafe mosquitto_username_pw_set(handle, configuration.user, configuration.password)
        }
        if configuration.isTLS {
            let file = configuration.certificateFile
            let result =
                unsafe file.isEmpty
                ? mosquitto_tls_set(handle, nil, "/etc/ssl/certs", nil, nil, nil)
                : mosquitto_tls_set(handle, file, nil, nil, nil, nil)
            guard result == 0 else {
                throw .notConnected(reason: unsafe "TLS: \(String(cString: mosquitto_strerror(result))) (mqtt_ca_file)")
            }
        }
        guard !configuration.availabilityTopic.isEmpty else { return }
        let offline = Array("offline".utf8)
        unsafe mosquitto_will_set(handle, configuration.availabilityTopic, Int32(offline.count), offline, 1, true)
    }

    deinit {
        // No callback comes after this: the thread that runs the loop retains this object, so it has ended.
        unsafe mosquitto_destroy(handle)
    }

    /// Says good-bye and ends the thread, within a second or two. Call it once, after ``start()``.
    ///
    /// Memory: libmosquitto copies topic and payload during the call.
    func stop() {
        guard state.withLock({ $0.isRunning }) else { return }
        let offline = Array("offline".utf8)
        // Under the lock, so that no new connection replaces libmosquitto's descriptors meanwhile.
        state.withLock { state in
            guard state.isConnected else { return }
            if !configuration.availabilityTopic.isEmpty {
                unsafe mosquitto_publish(
                    handle, nil, configuration.availabilityTopic, Int32(offline.count), offline, 1, true)
            }
            unsafe mosquitto_disconnect(handle)
        }
        isStopping.store(true, ordering: .relaxed)
        hasEnded.wait()
        fail(.notConnected(reason: "the connection was ended"))
    }

    /// Ends the thread at its next step, and waits for nothing: an attempt to connect may take minutes.
    func abandon() { isStopping.store(true, ordering: .relaxed) }

    /// Like ``stop()``, for tasks.
    func end() async {
        await withCheckedContinuation { continuation in
            // It waits for the thread to end.
            DispatchQueue.global(qos: .utility).async { [self] in
                stop()
                continuation.resume()
            }
        }
    }

    /// Nil when connected.
    var failure: Failure? {
        state.withLock { state in
            if state.isConnected { return nil }
            return state.isUnauthorised ? .unauthorised(reason: state.reason) : .notConnected(reason: state.reason)
        }
    }

    /// Why the connection is likely to end soon, although there may be one; nil when nothing speaks for that.
    var warning: String? {
        state.withLock { $0.losses.warning(clientID: configuration.clientID, at: .now) }
    }

    /// Whether the broker itself says that another client with this id ends the connections.
    var isTakenOver: Bool { state.withLock { $0.losses.isTakenOver } }

    /// Asks for the messages of a topic from now on, and for its retained one. Memory: libmosquitto copies the topic.
    ///
    /// Under the lock, as for ``publish(_:_:retain:)``: no new connection may replace libmosquitto's descriptors meanwhile.
    func subscribe(_ topic: String) {
        state.withLock { if $0.isConnected { unsafe mosquitto_subscribe(handle, nil, topic, 1) } }
    }

    /// As ``subscribe(_:)``. Memory: libmosquitto copies the topic.
    func unsubscribe(_ topic: String) {
        state.withLock { if $0.isConnected { unsafe mosquitto_unsubscribe(handle, nil, topic) } }
    }

    /// Sends a message and returns when the broker has it.
    ///
    /// Memory: libmosquitto copies topic and payload during the call, and writes `number` during it.
    func publish(_ topic: String, _ payload: [UInt8], retain: Bool = false) async throws(Failure) {
        let result: Result<Void, Failure> = await withCheckedContinuation { continuation in
            let refusal = state.withLock { state -> Failure? in
                guard state.isConnected else {
                    return state.isUnauthorised
                        ? .unauthorised(reason: state.reason) : .notConnected(reason: state.reason)
                }
                var number: Int32 = 0
                let result = unsafe mosquitto_publish(handle, &number, topic, Int32(payload.count), payload, 1, retain)
                guard result == 0 else {
                    return unsafe .notConnected(reason: String(cString: mosquitto_strerror(result)))
                }
                state.waiting[number] = continuation
                return nil
            }
            if let refusal { continuation.resume(returning: .failure(refusal)) }
        }
        try result.get()
    }

    // MARK: - On libmosquitto's thread

    /// Memory: `context` is this object, unretained, which the thread of the loop retains; the result is retained.
    private static func own(_ context: UnsafeMutableRawPointer?) -> MQTTConnection? {
        unsafe context.map { unsafe Unmanaged<MQTTConnection>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Memory: a message is libmosquitto's until the callback returns; topic and payload are copied before that.
    private func setCallbacks() {
        unsafe mosquitto_connect_v5_callback_set(handle) { _, context, code, _, _ in
            unsafe MQTTConnection.own(context)?.connected(code)
        }
        unsafe mosquitto_disconnect_v5_callback_set(handle) { _, context, code, _ in
            unsafe MQTTConnection.own(context)?.disconnected(code)
        }
        unsafe mosquitto_publish_v5_callback_set(handle) { _, context, number, code, _ in
            unsafe MQTTConnection.own(context)?.published(number, code)
        }
        unsafe mosquitto_message_v5_callback_set(handle) { _, context, message, _ in
            guard let message = unsafe message?.pointee, let topic = unsafe message.topic else { return }
            let payload = unsafe UnsafeRawBufferPointer(start: message.payload, count: Int(max(0, message.payloadlen)))
            unsafe MQTTConnection.own(context)?.heard(String(cString: topic), [UInt8](payload.prefix(65_536)))
        }
    }

    /// libmosquitto has only noted that it must acknowledge the message: since the threads are ours, it sends that when its
    /// loop goes on, after this.
    private func heard(_ topic: String, _ payload: [UInt8]) {
        guard !onMessage(topic, payload) else { return }
        unsafe shutdown(mosquitto_socket(handle), Int32(SHUT_RDWR))
    }

    private func connected(_ code: Int32) {
        guard code == 0 else {
            let text = unsafe String(cString: mosquitto_reason_string(code))
            state.withLock { state in
                state.isConnected = false
                // 134 bad user name or password, 135 not authorised, 138 banned (MQTT 5, §3.2.2.2); 4 and 5 (MQTT 3.1.1,
                // §3.2.2.3).
                state.isUnauthorised = [134, 135, 138, 4, 5].contains(code)
                state.reason = "the broker refuses the connection: \(text) (\(code))"
            }
            return
        }
        state.withLock { state in
            state.isConnected = true
            state.isUnauthorised = false
            state.reason = ""
            state.losses.connected(at: .now)
        }
        for topic in configuration.subscriptions { unsafe mosquitto_subscribe(handle, nil, topic, 1) }
        let online = Array("online".utf8)
        if !configuration.availabilityTopic.isEmpty {
            unsafe mosquitto_publish(handle, nil, configuration.availabilityTopic, Int32(online.count), online, 1, true)
        }
        onConnect()
    }

    private func disconnected(_ code: Int32) {
        let isEnding = isStopping.load(ordering: .relaxed)
        let news = state.withLock { state -> String? in
            state.isConnected = false
            if !isEnding { state.losses.lost(reason: code, at: .now) }
            let warning = state.losses.warning(clientID: configuration.clientID, at: .now)
            if !state.isUnauthorised {
                state.reason =
                    "the connection to \(configuration.host):\(configuration.port) ended (\(code))"
                    + (warning.map { "; \($0)" } ?? "")
            }
            defer { state.isWarned = warning != nil }
            return state.isWarned ? nil : warning
        }
        if let news { onWarning(news) }
        fail(.notConnected(reason: "the connection ended before the broker had the message"))
    }

    private func published(_ number: Int32, _ code: Int32) {
        let continuation = state.withLock { $0.waiting.removeValue(forKey: number) }
        // From 0x80 on a reason is a failure.
        let result: Result<Void, Failure> =
            code < 0x80
            ? .success(())
            : .failure(.denied(reason: unsafe "\(String(cString: mosquitto_reason_string(code))) (\(code))"))
        continuation?.resume(returning: result)
    }

    private func fail(_ failure: Failure) {
        let waiting = state.withLock { state in
            defer { state.waiting = [:] }
            return state.waiting.values
        }
        for continuation in waiting { continuation.resume(returning: .failure(failure)) }
    }
}
