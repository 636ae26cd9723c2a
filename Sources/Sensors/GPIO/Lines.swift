import CEdgeGPIO

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Which line of which GPIO chip: by name or label, since the numbers of chips change between kernels.
public struct LinePlace: Sendable, Hashable {
    public enum Pull: Int32, Sendable {
        case asIs = 0
        case up, down, off
    }

    /// Such as `pinctrl-bcm2711`; nil for any chip.
    public var chipLabel: String?
    /// Such as `GPIO17`; nil to use `offset`.
    public var lineName: String?
    public var offset = 0
    public var isActiveLow = false
    public var pull = Pull.asIs

    public init() {}

    public var text: String {
        let line = lineName ?? "line \(offset)"
        return chipLabel.map { "\($0) \(line)" } ?? line
    }

    /// Memory: the texts and the place are borrowed until `body` returns; the line that it returns is the caller's.
    fileprivate func open(_ body: (UnsafePointer<EdgeGPIOPlace>) -> OpaquePointer?) throws(LineError) -> OpaquePointer {
        func withText(_ text: String?, _ body: (UnsafePointer<CChar>?) -> OpaquePointer?) -> OpaquePointer? {
            guard let text else { return unsafe body(nil) }
            return unsafe text.withCString { unsafe body($0) }
        }
        var code: Int32 = 0
        let line = unsafe withText(chipLabel) { label in
            unsafe withText(lineName) { name in
                var place = unsafe EdgeGPIOPlace(
                    chip_label: label, line_name: name, offset: UInt32(offset), is_active_low: isActiveLow,
                    pull: pull.rawValue)
                let line = unsafe body(&place)
                code = errno
                return unsafe line
            }
        }
        guard let line = unsafe line else { throw LineError(code: code, place: text) }
        return unsafe line
    }
}

/// Why a line could not be had.
public struct LineError: Error, Sendable, Hashable, CustomStringConvertible {
    public let code: Int32
    let place: String

    public var isAbsent: Bool { code == ENOENT || code == ENODEV }
    var hasNoEdges: Bool { [ENXIO, EOPNOTSUPP, ENOTSUP, ENODEV, EINVAL].contains(code) }

    public var description: String {
        switch code {
        case ENOENT, ENODEV: "no GPIO chip has \(place)"
        case EBUSY: "\(place) is used by another program or driver"
        case EACCES, EPERM: "the GPIO chips may not be used: add this user to the group gpio"
        default: "\(place): the kernel says: error \(code)"
        }
    }
}

/// A line that is listened to. Used from one thread at a time.
///
/// Memory: `line` is opened in `init` and closed in `deinit`; it does not leave the class.
@safe public final class InputLine {
    private let line: OpaquePointer
    /// Readable when edges have come; nil for a line that has none and must be looked at. Valid while this object lives.
    public let descriptor: Int32?

    /// - Parameter edges: those that are wanted.
    public init(_ place: LinePlace, edges: LineWatch.Counts) throws(LineError) {
        let wanted: Int32 =
            switch edges {
            case .rising: 1
            case .falling: 2
            case .both: 3
            }
        var hasEdges = true
        do throws(LineError) {
            unsafe line = try place.open { unsafe edge_gpio_input($0, wanted) }
        } catch  where error.hasNoEdges {
            hasEdges = false
            unsafe line = try place.open { unsafe edge_gpio_input($0, 0) }
        }
        descriptor = unsafe hasEdges ? edge_gpio_descriptor(line) : nil
    }

    deinit { unsafe edge_gpio_close(line) }

    public func isActive() -> Bool? {
        let value = unsafe edge_gpio_get(line)
        return value < 0 ? nil : value == 1
    }

    /// The edges that have come; nil when the chip is gone.
    public func edges() -> [LineWatch.Edge]? {
        var edges = [EdgeGPIOEdge](repeating: EdgeGPIOEdge(), count: 256)
        let count = unsafe edge_gpio_edges(line, &edges, Int32(edges.count))
        guard count >= 0 else { return nil }
        return edges[..<Int(count)].map {
            LineWatch.Edge(timeNanoseconds: $0.time_ns, isActive: $0.is_active, number: $0.number)
        }
    }
}

/// A line that is set: a relay, an LED, the power of a sensor. Used from one thread at a time.
///
/// Memory: `line` is opened in `init` and closed in `deinit`; it does not leave the class.
@safe public final class OutputLine {
    private let line: OpaquePointer

    public init(_ place: LinePlace, isActive: Bool) throws(LineError) {
        unsafe line = try place.open { unsafe edge_gpio_output($0, isActive) }
    }

    deinit { unsafe edge_gpio_close(line) }

    /// False when the chip is gone.
    public func set(_ isActive: Bool) -> Bool { unsafe edge_gpio_set(line, isActive) == 0 }
}

/// A GPIO chip of this machine.
///
/// Memory: the C functions write to arrays that are borrowed for the call; texts of them are copied.
public struct LineChip: Sendable {
    public struct Line: Sendable {
        /// Empty when it has none.
        public let name: String
        /// Who uses it; nil when nobody does.
        public let consumer: String?
    }

    public let name: String
    public let label: String
    /// At most 256.
    public let lines: [Line]

    private static let mostLines = 256

    /// At most 64.
    public static func all() -> [LineChip] {
        var chips = [EdgeGPIOChip](repeating: EdgeGPIOChip(), count: 64)
        let count = unsafe edge_gpio_chips(&chips, Int32(chips.count))
        return chips[..<Int(max(0, count))].map { chip in
            var chip = chip
            var infos = [EdgeGPIOLineInfo](repeating: EdgeGPIOLineInfo(), count: mostLines)
            let known = unsafe edge_gpio_lines(&chip, &infos, Int32(mostLines))
            let lines = infos[..<Int(max(0, known))].map { info in
                Line(name: text(info.name), consumer: info.is_used ? text(info.consumer) : nil)
            }
            return LineChip(name: text(chip.name), label: text(chip.label), lines: lines)
        }
    }

    /// The library that they are used through: `libgpiod 1.6.3`.
    ///
    /// Memory: the text belongs to the thread, until its next call; it is copied before.
    public static var library: String { unsafe String(cString: edge_gpio_library()) }

    private static func text<Tuple>(_ tuple: Tuple) -> String {
        unsafe withUnsafeBytes(of: tuple) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
