import CEdgeSystem

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A file descriptor that is opened when it is needed and closed after an error, so that a device may come back.
private final class Descriptor {
    private var value: Int32 = -1

    func use<Value>(
        _ open: () -> Int32, _ body: (Int32) throws(BusError) -> Value
    ) throws(BusError) -> Value {
        if value < 0 { value = open() }
        guard value >= 0 else { throw BusError.last }
        do throws(BusError) {
            return try body(value)
        } catch {
            // One that does not answer is still there; a port that fails may not be.
            if case .failed = error { drop() }
            throw error
        }
    }

    func drop() {
        if value >= 0 { close(value) }
        value = -1
    }

    deinit { drop() }
}

extension BusError {
    /// What errno says.
    fileprivate static var last: BusError {
        switch errno {
        case ENXIO, EREMOTEIO, ENODEV, ENOENT: .absent
        case ETIMEDOUT, EAGAIN: .timeout
        default: .failed(errno: errno)
        }
    }
}

extension Bus {
    public var secondsSince1970: Double { Double(edge_realtime_ns()) / 1e9 }
}

private func wait(milliseconds: Int) {
    // Memory: the kernel uses both times during the call only.
    var left = timespec(tv_sec: milliseconds / 1000, tv_nsec: (milliseconds % 1000) * 1_000_000)
    var rest = timespec()
    while unsafe nanosleep(&left, &rest) == -1, errno == EINTR { left = rest }
}

/// An address on an I2C bus of the kernel. Used from one thread at a time.
///
/// The bus is opened for each transaction: it costs microseconds, and an adapter that went and came back, or that is bound
/// anew after it hung, is simply there again.
///
/// Memory: the path and both buffers are borrowed for the calls.
public struct I2CBus: Bus {
    private let adapter: I2CAdapter
    private let address: UInt8

    public init(adapter: I2CAdapter, address: UInt8) {
        self.adapter = adapter
        self.address = address
    }

    public func exchange(_ bytes: [UInt8], reading count: Int) throws(BusError) -> [UInt8] {
        guard let path = adapter.path else { throw .absent }
        let bus = unsafe open(path, O_RDWR | O_CLOEXEC)
        guard bus >= 0 else { throw BusError.last }
        defer { close(bus) }
        var answer = [UInt8](repeating: 0, count: count)
        guard unsafe edge_i2c_exchange(bus, address, bytes, bytes.count, &answer, count) == 0 else {
            throw BusError.last
        }
        return answer
    }

    /// Whether the START byte (address 0, read) is acknowledged. No device may acknowledge it (NXP UM10204 rev. 7.0, §3.1.15),
    /// so an acknowledgement comes from a data line that is held at 0.
    public var isHeldLow: Bool {
        guard let path = adapter.path else { return false }
        let bus = unsafe open(path, O_RDWR | O_CLOEXEC)
        guard bus >= 0 else { return false }
        defer { close(bus) }
        let nothing: [UInt8] = []
        var byte = [UInt8](repeating: 0, count: 1)
        return unsafe edge_i2c_exchange(bus, 0, nothing, 0, &byte, 1) == 0
    }

    public func pause(milliseconds: Int) { wait(milliseconds: milliseconds) }
}

/// A serial port. Used from one thread at a time.
///
/// Memory: the path and both buffers are borrowed for the calls.
public final class SerialBus: Bus {
    private let path: String
    private let baud: Int
    private let timeoutMilliseconds: Int
    private let descriptor = Descriptor()

    public init(path: String, baud: Int, timeoutMilliseconds: Int = 1000) {
        self.path = path
        self.baud = baud
        self.timeoutMilliseconds = timeoutMilliseconds
    }

    public func exchange(_ bytes: [UInt8], reading count: Int) throws(BusError) -> [UInt8] {
        try descriptor.use({ unsafe edge_serial_open(path, Int32(baud)) }) { (port) throws(BusError) -> [UInt8] in
            if !bytes.isEmpty {
                // What an earlier, late answer has left would be taken for this one's.
                edge_serial_flush(port)
                guard unsafe write(port, bytes, bytes.count) == bytes.count else { throw BusError.last }
            }
            guard count > 0 else { return [] }
            var answer = [UInt8](repeating: 0, count: count)
            let got = unsafe edge_serial_read(port, &answer, count, Int32(timeoutMilliseconds))
            guard got >= 0 else { throw BusError.last }
            guard got == count else { throw .timeout }
            return answer
        }
    }

    public func pause(milliseconds: Int) { wait(milliseconds: milliseconds) }
}

/// A file of the kernel, such as `/sys/bus/w1/devices/28-…/w1_slave`: reading it is the measurement.
///
/// Memory: the path and the buffer are borrowed for the calls.
public struct FileBus: Bus {
    private let path: String

    public init(path: String) {
        self.path = path
    }

    /// All of it, at most 4 KB.
    public func exchange(_ bytes: [UInt8], reading count: Int) throws(BusError) -> [UInt8] {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw BusError.last }
        defer { close(file) }
        var answer = [UInt8](repeating: 0, count: 4096)
        let got = unsafe read(file, &answer, answer.count)
        guard got >= 0 else { throw BusError.last }
        return Array(answer[..<got])
    }

    public func pause(milliseconds: Int) { wait(milliseconds: milliseconds) }
}
