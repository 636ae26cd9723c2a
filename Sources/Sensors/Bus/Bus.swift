/// A way to one device: an address on an I2C bus, a serial port, a file of the kernel. One exchange is one transaction.
public protocol Bus {
    /// Writes bytes, then reads exactly so many. Either may be none.
    func exchange(_ bytes: [UInt8], reading count: Int) throws(BusError) -> [UInt8]
    /// Waits as long as the device needs between two exchanges.
    func pause(milliseconds: Int)
    /// The machine's time, in seconds since 1970, for a device that keeps the time too.
    var secondsSince1970: Double { get }
    /// Whether something holds the data line at 0. Then each address seems to answer, and each byte reads as 0x00. False where
    /// the way to the device cannot tell.
    var isHeldLow: Bool { get }
}

extension Bus {
    public var isHeldLow: Bool { false }
}

public enum BusError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Nobody answers (I2C: not acknowledged), or the device is gone.
    case absent
    /// It did not answer in time, or with fewer bytes.
    case timeout
    /// The data line is held at 0: what was read is no answer.
    case heldLow
    /// What the kernel says.
    case failed(errno: Int32)

    public var description: String {
        switch self {
        case .absent: "nothing answers"
        case .timeout: "it does not answer in time"
        case .heldLow: "the data line is held at 0 (a short circuit, or a device that hangs), so each byte reads as 0"
        case .failed(let errno): "the kernel says: error \(errno)"
        }
    }
}

/// Why a device gave no reading.
public enum SensorError: Error, Sendable, Hashable, CustomStringConvertible {
    case bus(BusError)
    /// There is no such device, or line.
    case missing(String)
    /// A checksum or the form of an answer was wrong.
    case garbled(String)
    /// Another device answers, or one that is broken.
    case faulty(String)
    /// It has nothing new yet.
    case notReady
    /// It answers as after power-on: what it says means nothing until it has warmed up again.
    case warming(String)
    /// What it measures is beyond its range, or its converter is at an end of its range.
    case saturated(String)
    /// A setting makes no sense for it.
    case badOption(String)

    public var description: String {
        switch self {
        case .bus(let error): error.description
        case .missing(let what): what
        case .garbled(let what): "a garbled answer: \(what)"
        case .faulty(let what): what
        case .notReady: "it has no reading yet"
        case .warming(let why): why
        case .saturated(let what): what
        case .badOption(let what): what
        }
    }
}

extension Bus {
    /// ``exchange(_:reading:)`` with a driver's error. An answer of zeros alone counts only while nothing holds the data line
    /// at 0.
    func ask(_ bytes: [UInt8], reading count: Int = 0) throws(SensorError) -> [UInt8] {
        do throws(BusError) {
            let answer = try exchange(bytes, reading: count)
            if count > 0, answer.allSatisfy({ $0 == 0 }), isHeldLow { throw BusError.heldLow }
            return answer
        } catch {
            throw .bus(error)
        }
    }
}
