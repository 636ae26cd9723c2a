import CEdgeSystem
import Foundation
import Sensors
import Store
import Synchronization

/// One thread of the ``IngestLoop``: waits for its sockets, reads, decodes and writes.
final class IngestThread: Sendable {
    enum Message: Sendable {
        case adopt(AdoptedConnection, number: UInt64)
        case close(number: UInt64)
        /// All that a connection sent is written down, or could not be.
        case written(number: UInt64, Result<Void, StoreError>)
        /// Says that the thread has come round.
        case answer(@Sendable () -> Void)
        case stop
    }

    /// Bytes taken from a socket at once. Enough to make system calls rare, and little enough to stay in the cache
    /// between the read and the write.
    static let readBytes = 128 << 10
    private static let mailboxNumber: UInt64 = 0

    private let house: ReceptionHouse
    private let quotaBytesPerSecond: Int
    private let name: String
    private let poll: Int32
    private let wakeUp: Int32
    private let mailbox = Mutex<[Message]>([])

    init(house: ReceptionHouse, quotaBytesPerSecond: Int, name: String) throws {
        self.house = house
        self.quotaBytesPerSecond = quotaBytesPerSecond
        self.name = name
        poll = edge_poll_make()
        wakeUp = edge_wakeup_make()
        guard poll >= 0, wakeUp >= 0 else {
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EMFILE)
        }
    }

    deinit {
        close(poll)
        close(wakeUp)
    }

    func start(released: @escaping @Sendable () -> Void) {
        watch(wakeUp, number: Self.mailboxNumber)
        let thread = Thread { [self] in
            // Memory: the thread's name is borrowed for the call; the kernel keeps a copy.
            unsafe edge_name_thread(name)
            var table = Table(thread: self, released: released)
            table.work()
        }
        thread.name = name
        thread.stackSize = 512 << 10
        thread.start()
    }

    func post(_ message: Message) {
        let isFirst = mailbox.withLock { mailbox in
            mailbox.append(message)
            return mailbox.count == 1
        }
        if isFirst { edge_wakeup_signal(wakeUp) }
    }

    private func takeMessages() -> [Message] {
        mailbox.withLock { mailbox in
            defer { mailbox = [] }
            return mailbox
        }
    }

    private func watch(_ descriptor: Int32, number: UInt64, isPaused: Bool = false, isNew: Bool = true) {
        _ = edge_poll_watch(poll, descriptor, number, !isPaused, isNew)
    }

    private func forget(_ descriptor: Int32) {
        _ = edge_poll_forget(poll, descriptor)
    }

    // MARK: - On the thread

    /// What the thread has, touched by it alone.
    private struct Table {
        let thread: IngestThread
        let released: @Sendable () -> Void
        var connections: [UInt64: Connection] = [:]
        /// Connections over their quota, and when they are read again.
        var paused: [UInt64: ContinuousClock.Instant] = [:]
        var isStopping = false

        init(thread: IngestThread, released: @escaping @Sendable () -> Void) {
            self.thread = thread
            self.released = released
        }

        final class Connection {
            let adopted: AdoptedConnection
            let session: StreamSession
            var body = ChunkedBody()
            var quota: ByteQuota?
            /// Why it ends, once it does; its socket is read no more.
            var endReason: String?

            init(_ adopted: AdoptedConnection, house: ReceptionHouse, quota: ByteQuota?) {
                self.adopted = adopted
                self.quota = quota
                session = StreamSession(
                    identity: adopted.stream.identity, house: house, status: adopted.stream.connection)
            }
        }

        /// Memory: `numbers` is this function's and borrowed for the call, which writes no more of it than its length.
        mutating func work() {
            let buffer = ReceiveBuffer(bytes: IngestThread.readBytes)
            var numbers = [UInt64](repeating: 0, count: 64)
            while !isStopping {
                let count = unsafe edge_poll_wait(thread.poll, &numbers, Int32(numbers.count), timeoutMilliseconds())
                for number in numbers.prefix(max(0, Int(count))) {
                    if number == IngestThread.mailboxNumber {
                        edge_wakeup_clear(thread.wakeUp)
                        for message in thread.takeMessages() { handle(message) }
                    } else if let connection = connections[number], connection.endReason == nil {
                        read(connection, number, buffer)
                    }
                }
                resumePaused()
            }
        }

        private mutating func handle(_ message: Message) {
            switch message {
            case .adopt(let adopted, let number): adopt(adopted, number)
            case .close(let number):
                if let connection = connections[number] { end(connection, number, "disconnected") }
            case .written(let number, let result): finish(number, result)
            case .answer(let tell): tell()
            case .stop: isStopping = true
            }
        }

        private mutating func adopt(_ adopted: AdoptedConnection, _ number: UInt64) {
            let quota = ByteQuota(
                bytesPerSecond: thread.quotaBytesPerSecond,
                nowNanoseconds: thread.house.time.now().monotonicNanoseconds)
            let connection = Connection(adopted, house: thread.house, quota: quota)
            connections[number] = connection
            thread.house.enter(adopted.stream)
            thread.watch(adopted.descriptor, number: number)
            if adopted.expectsContinue { send("HTTP/1.1 100 Continue\r\n\r\n", to: adopted.descriptor) }
            if !adopted.firstBytes.isEmpty {
                take(adopted.firstBytes.span, connection, number)
            }
            if adopted.stream.connection.endedFor != nil { end(connection, number, "disconnected") }
        }

        private mutating func read(_ connection: Connection, _ number: UInt64, _ buffer: ReceiveBuffer) {
            let count = buffer.receive(from: connection.adopted.descriptor) { take($0, connection, number) }
            if count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) {
                end(connection, number, "disconnected")
            }
        }

        private mutating func take(_ bytes: Span<UInt8>, _ connection: Connection, _ number: UInt64) {
            var isMalformed = false
            let backPressure = connection.session.receive(bytes) { take in
                do throws(ChunkedBody.Malformed) {
                    try connection.body.decode(bytes, take)
                } catch {
                    isMalformed = true
                }
            }
            if isMalformed { return end(connection, number, "malformed body") }
            if connection.body.isFinished { return end(connection, number, "end of body") }
            let now = thread.house.time.now()
            let quota = connection.quota?.take(bytes.count, nowNanoseconds: now.monotonicNanoseconds)
            if let pause = [quota, backPressure].compactMap({ $0 }).max() {
                connection.adopted.stream.connection.notePause(pause, at: now)
                thread.watch(connection.adopted.descriptor, number: number, isPaused: true, isNew: false)
                paused[number] = .now + pause
            }
        }

        private mutating func end(_ connection: Connection, _ number: UInt64, _ reason: String) {
            guard connection.endReason == nil else { return }
            let reason = connection.adopted.stream.connection.endedFor ?? reason
            connection.endReason = reason
            paused[number] = nil
            thread.forget(connection.adopted.descriptor)
            connection.session.end(reason: reason) { [thread] result in
                thread.post(.written(number: number, result))
            }
        }

        private mutating func finish(_ number: UInt64, _ result: Result<Void, StoreError>) {
            guard let connection = connections.removeValue(forKey: number) else { return }
            let stream = connection.adopted.stream
            let descriptor = connection.adopted.descriptor
            switch result {
            case .success:
                let reason = connection.endReason ?? "disconnected"
                thread.house.leave(stream, reason: reason)
                if connection.body.isFinished { answer("200 OK", stream.answerBody, to: descriptor) }
            case .failure(let error):
                thread.house.leave(stream, failure: error)
                answer(
                    "500 Internal Server Error", #"{"detail":"The box could not store the stream's end"}"#,
                    to: descriptor)
            }
            close(descriptor)
            released()
        }

        private func answer(_ status: String, _ body: String, to descriptor: Int32) {
            send(
                "HTTP/1.1 \(status)\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n"
                    + "Connection: close\r\nServer: edge-aggregator\r\n\r\n\(body)", to: descriptor)
        }

        /// A few hundred bytes, which the socket's empty buffer takes at once or never.
        ///
        /// Memory: the bytes are this function's and borrowed for the call, which copies them into the kernel.
        private func send(_ text: String, to descriptor: Int32) {
            let bytes = Array(text.utf8)
            _ = unsafe bytes.withUnsafeBytes {
                unsafe Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
        }

        // MARK: Quotas

        private func timeoutMilliseconds() -> Int32 {
            guard let next = paused.values.min() else { return -1 }
            return Int32(clamping: Int(max(0, (next - .now).seconds) * 1000) + 1)
        }

        private mutating func resumePaused() {
            guard !paused.isEmpty else { return }
            let now = ContinuousClock.now
            for (number, instant) in paused where instant <= now {
                paused[number] = nil
                guard let connection = connections[number] else { continue }
                thread.watch(connection.adopted.descriptor, number: number, isNew: false)
            }
        }
    }
}
