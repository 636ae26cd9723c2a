import CCurl
import Foundation
import Synchronization

/// Every outgoing HTTP request: libcurl's multi interface on a thread of its own.
///
/// Connections are kept and shared. TLS is always verified. Cancelling the task ends its transfer.
///
/// Memory: `multi` is made in `init` and freed by the thread when it ends, after ``stop()``; it does not leave this object. The
/// thread retains this object while it runs.
@safe public final class CurlTransport: Sendable {
    private enum Command: Sendable {
        case add(CurlTransfer)
        case cancel(UInt64)
        case stop
    }

    private struct State {
        var commands: [Command] = []
        var next: UInt64 = 0
        var isStopped = false
    }

    private let state = Mutex(State())
    // Only `curl_multi_wakeup` is called from other threads, which libcurl allows.
    private nonisolated(unsafe) let multi: UnsafeMutableRawPointer

    /// - Parameter connectionsPerHost: 1...64.
    public init(connectionsPerHost: Int = 8) throws(TransportError) {
        // Once a process; libcurl counts the calls itself.
        curl_global_init(Int(CURL_GLOBAL_DEFAULT))
        guard let multi = unsafe curl_multi_init() else {
            throw TransportError(.closed, "libcurl could not be started")
        }
        unsafe self.multi = multi
        unsafe edge_curl_multi_set_long(multi, CURLMOPT_MAX_HOST_CONNECTIONS, connectionsPerHost)
        let thread = Thread { [self] in work() }
        thread.name = "curl"
        thread.start()
    }

    /// Sends a request and returns the answer, whatever its status.
    public func perform(_ request: OutgoingRequest) async throws(TransportError) -> OutgoingAnswer {
        let number = state.withLock { state in
            state.next += 1
            return state.next
        }
        let result: Result<OutgoingAnswer, TransportError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard
                    let transfer = CurlTransfer(
                        number: number, request: request, completion: { continuation.resume(returning: $0) })
                else {
                    continuation.resume(returning: .failure(TransportError(.closed, "libcurl has no memory")))
                    return
                }
                if !post(.add(transfer)) { transfer.fail(TransportError(.closed, "the transport has ended")) }
                if Task.isCancelled { _ = post(.cancel(number)) }
            }
        } onCancel: {
            _ = post(.cancel(number))
        }
        return try result.get()
    }

    /// Ends every transfer, and the thread.
    public func stop() {
        _ = post(.stop)
    }

    private func post(_ command: Command) -> Bool {
        state.withLock { state in
            guard !state.isStopped else { return false }
            state.commands.append(command)
            if case .stop = command { state.isStopped = true }
            // Memory: under the lock `multi` is alive, since the thread frees it only after it has taken the stop from here.
            unsafe curl_multi_wakeup(multi)
            return true
        }
    }

    // MARK: - The thread

    /// Memory: only this thread frees `multi`, as its last act. `transfers` retains every transfer whose handle is in it.
    private func work() {
        var transfers: [UInt64: CurlTransfer] = [:]
        var isRunning = true
        while isRunning {
            let commands = state.withLock { state in
                defer { state.commands = [] }
                return state.commands
            }
            for command in commands {
                switch command {
                case .add(let transfer): add(transfer, &transfers)
                case .cancel(let number):
                    end(number, &transfers)?.fail(TransportError(.cancelled, "the request was called off"))
                case .stop: isRunning = false
                }
            }
            var running: Int32 = 0
            unsafe curl_multi_perform(multi, &running)
            takeFinished(&transfers)
            if isRunning { unsafe curl_multi_poll(multi, nil, 0, 1000, nil) }
        }
        for number in Array(transfers.keys) {
            end(number, &transfers)?.fail(TransportError(.closed, "the transport has ended"))
        }
        unsafe curl_multi_cleanup(multi)
    }

    /// Memory: libcurl keeps the handle until ``end(_:_:)`` removes it; until then `transfers` retains its owner.
    private func add(_ transfer: CurlTransfer, _ transfers: inout [UInt64: CurlTransfer]) {
        do throws(TransportError) {
            try transfer.prepare()
        } catch {
            transfer.fail(error)
            return
        }
        guard unsafe curl_multi_add_handle(multi, transfer.handle) == CURLM_OK else {
            transfer.fail(TransportError(.closed, "libcurl took no more transfers"))
            return
        }
        transfers[transfer.number] = transfer
    }

    /// Memory: the handle leaves `multi` here, while its owner is still retained; the caller decides how long the owner lives on.
    private func end(_ number: UInt64, _ transfers: inout [UInt64: CurlTransfer]) -> CurlTransfer? {
        guard let transfer = transfers.removeValue(forKey: number) else { return nil }
        unsafe curl_multi_remove_handle(multi, transfer.handle)
        return transfer
    }

    /// Memory: `message` is libcurl's until its handle leaves `multi`: all that is needed of it is read before that. `context` is
    /// the transfer, which `transfers` still retains.
    private func takeFinished(_ transfers: inout [UInt64: CurlTransfer]) {
        var rest: Int32 = 0
        while let message = unsafe curl_multi_info_read(multi, &rest) {
            guard unsafe message.pointee.msg == CURLMSG_DONE, let handle = unsafe message.pointee.easy_handle,
                let context = unsafe edge_curl_private(handle)
            else { continue }
            let code = unsafe message.pointee.data.result
            let number = unsafe Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue().number
            end(number, &transfers)?.finish(code)
        }
    }
}
