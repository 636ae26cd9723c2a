import Foundation

/// An ISEMS node as it speaks MQTT 3.1.1: clean session, no TLS, QoS 1; and it drops its connection without a word.
public final class RawMQTT {
    private let connection: RawConnection

    /// - Parameter clientID: stock nodes have `isems-<nodeid>`.
    public init(port: Int, clientID: String, user: String, password: String) throws {
        connection = try RawConnection(port: port)
        let payload = Self.text(clientID) + Self.text(user) + Self.text(password)
        // Protocol MQTT, level 4; user, password, clean session; keep alive 120 s.
        try send(0x10, [0, 4] + Array("MQTT".utf8) + [4, 0xC2, 0, 120] + payload)
        let answer = try connection.read(4)
        guard answer.count == 4, answer[0] == 0x20, answer[3] == 0 else {
            throw RawConnection.Failure(description: "CONNACK: \(answer)")
        }
    }

    /// Returns when the broker has it.
    public func publish(_ topic: String, _ payload: [UInt8], number: UInt16 = 1, isRetained: Bool = false) throws {
        try send(isRetained ? 0x33 : 0x32, Self.text(topic) + [UInt8(number >> 8), UInt8(number & 0xFF)] + payload)
        let answer = try connection.read(4)
        guard answer.first == 0x40 else { throw RawConnection.Failure(description: "PUBACK: \(answer)") }
    }

    /// Whether the broker ends the connection within so many seconds.
    public func isClosed(within seconds: Int) -> Bool { connection.isClosed(within: seconds) }

    private func send(_ type: UInt8, _ body: [UInt8]) throws {
        var length = body.count
        var head = [type]
        repeat {
            head.append(UInt8(length % 128) | (length > 127 ? 0x80 : 0))
            length /= 128
        } while length > 0
        try connection.send(head + body)
    }

    private static func text(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        return [UInt8(bytes.count >> 8), UInt8(bytes.count & 0xFF)] + bytes
    }
}
