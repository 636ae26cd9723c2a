import Foundation

/// A TCP connection of the test's own: plain sockets, blocking, no library that could mend what is sent.
public final class RawConnection {
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    private let descriptor: Int32

    /// - Parameters:
    ///   - host: `127.0.0.1` or `::1`.
    ///   - source: the IPv4 address of loopback to come from, such as `127.0.0.2`.
    public init(port: Int, host: String = "127.0.0.1", from source: String? = nil) throws {
        if host == "::1" {
            descriptor = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = in_port_t(UInt16(port).bigEndian)
            address.sin6_addr = in6addr_loopback
            let result = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
                }
            }
            guard result == 0 else { throw Failure(description: "connect: errno \(errno)") }
            return
        }
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        if let source {
            address.sin_addr.s_addr = inet_addr(source)
            let result = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            guard result == 0 else { throw Failure(description: "bind: errno \(errno)") }
        }
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Failure(description: "connect: errno \(errno)") }
    }

    deinit { close(descriptor) }

    public func send(_ bytes: [UInt8]) throws {
        var offset = 0
        while offset < bytes.count {
            let count = bytes[offset...].withUnsafeBytes {
                Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Failure(description: "send: errno \(errno)") }
            offset += count
        }
    }

    public func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// Sends nothing for so many seconds and says whether the other side closed. 0 seconds: looks only.
    public func isClosed(within seconds: Int) -> Bool {
        setTimeout(seconds)
        var byte: UInt8 = 0
        let count = recv(descriptor, &byte, 1, Int32(MSG_PEEK))
        // An end sets no errno.
        return count == 0 || count < 0 && errno != EAGAIN
    }

    /// Everything until the other side closes, or the answer is whole by its Content-Length.
    public func answer(within seconds: Int = 60) throws -> String {
        setTimeout(seconds)
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor, &block, block.count, 0)
            if count < 0 { throw Failure(description: "recv: errno \(errno) after \(bytes.count) bytes") }
            if count == 0 { break }
            bytes += block[..<count]
            let text = String(decoding: bytes, as: UTF8.self)
            if let end = text.range(of: "\r\n\r\n"),
                let field = text.range(of: "content-length: ", options: .caseInsensitive),
                let length = Int(text[field.upperBound...].prefix { $0.isNumber }),
                text[end.upperBound...].utf8.count >= length
            {
                break
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Exactly so many bytes; fewer when the other side closes.
    public func read(_ count: Int, within seconds: Int = 20) throws -> [UInt8] {
        setTimeout(seconds)
        var bytes: [UInt8] = []
        while bytes.count < count {
            var block = [UInt8](repeating: 0, count: count - bytes.count)
            let got = recv(descriptor, &block, block.count, 0)
            if got < 0 { throw Failure(description: "recv: errno \(errno) after \(bytes.count) bytes") }
            if got == 0 { break }
            bytes += block[..<got]
        }
        return bytes
    }

    /// Everything until the other side closes, which it must do.
    public func readToEnd(within seconds: Int = 20) throws -> String {
        setTimeout(seconds)
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 65_536)
        while true {
            let got = recv(descriptor, &block, block.count, 0)
            if got < 0 { throw Failure(description: "recv: errno \(errno): the other side does not close") }
            if got == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += block[..<got]
        }
    }

    /// Ends it from another thread: what waits in a call fails.
    public func breakOff() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// Breaks the connection off with a reset.
    public func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        shutdown(descriptor, Int32(SHUT_RDWR))
    }

    private func setTimeout(_ seconds: Int) {
        var time = timeval(tv_sec: seconds, tv_usec: seconds == 0 ? 1000 : 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    }
}
