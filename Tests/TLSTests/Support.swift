import EdgeTesting
import Foundation
import NIOCore
import Synchronization

enum Identity {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Writes `cert.pem` and `key.pem`.
    static func make(_ name: String, in folder: String) throws {
        let made = try run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=\(name)", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout",
            "\(folder)/key.pem", "-out", "\(folder)/cert.pem",
        ])
        guard made.status == 0 else { throw Failure(description: made.text) }
    }
}

/// Runs a program without standard input.
///
/// - Returns: Its exit code, with everything it printed.
func run(_ words: [String]) throws -> (status: Int32, text: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
}

/// Counts the connections that a server has, and the bytes that it was told to keep.
final class OpenConnections: Sendable {
    private let total = Mutex(0)
    var count: Int { total.withLock { $0 } }
    func add(_ change: Int) { total.withLock { $0 += change } }

    private let kept = Mutex(0)
    var keptBytes: Int { kept.withLock { $0 } }
    func keep(_ bytes: Int) { kept.withLock { $0 += bytes } }
}

/// Answers `echo` with what follows it, `keep` with nothing, and `give N` with N bytes, after which it closes.
final class AnsweringHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let open: OpenConnections
    private var line: [UInt8] = []
    private enum Mode { case line, echo, keep }
    private var mode = Mode.line

    init(_ open: OpenConnections) {
        self.open = open
    }

    func channelActive(context: ChannelHandlerContext) {
        open.add(1)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        open.add(-1)
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var received = unwrapInboundIn(data)
        while mode == .line, let byte = received.readInteger(as: UInt8.self) {
            guard byte == UInt8(ascii: "\n") else {
                line.append(byte)
                continue
            }
            let words = String(decoding: line, as: UTF8.self).split(separator: " ")
            line = []
            if words.first == "give", words.count == 2, let count = Int(words[1]) {
                give(count, context)
            } else {
                mode = words.first == "keep" ? .keep : .echo
            }
        }
        if mode == .keep { open.keep(received.readableBytes) }
        if mode == .echo, received.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(received), promise: nil) }
    }

    private func give(_ count: Int, _ context: ChannelHandlerContext) {
        var next = 0
        while next < count {
            let end = min(count, next + 100_000)
            context.write(wrapOutboundOut(ByteBuffer(bytes: (next..<end).map { UInt8($0 % 251) })), promise: nil)
            next = end
        }
        context.flush()
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}
