import Sensors
import TextParts

/// A sensor that is wired to the box.
struct SensorSettings: Sendable {
    enum Place: Sendable, Hashable {
        case i2c(adapter: I2CAdapter, address: UInt8)
        case serial(path: String, baud: Int)
        case file(path: String)
        case line(LinePlace)

        /// What is shared with others: one waits for another there.
        var bus: String {
            switch self {
            case .i2c(let adapter, _): adapter.text
            case .serial(let path, _), .file(let path): path
            case .line(let place): place.text
            }
        }

        /// The file that must be there; nil when it cannot be told, or for a line.
        var path: String? {
            switch self {
            case .i2c(let adapter, _): adapter.path
            case .serial(let path, _), .file(let path): path
            case .line: nil
            }
        }

        var text: String {
            switch self {
            case .i2c(let adapter, let address): "\(adapter.path ?? adapter.text) 0x\(String(address, radix: 16))"
            case .serial(let path, _), .file(let path): path
            case .line(let place): place.text
            }
        }
    }

    let name: String
    let entry: SensorCatalogue.Entry
    let place: Place
    let intervalSeconds: Double
    let options: SensorOptions
    let corrections: [String: SensorWatch.Correction]
    /// The output that gives it its power, if one does.
    let powerOutput: String?

    /// All of `sensors`; what is wrong with them is told to the reader.
    static func all(_ reader: inout SettingsReader, outputs: [OutputSettings]) -> [SensorSettings] {
        var sensors: [SensorSettings] = []
        for (name, text) in reader.map("sensors").sorted(by: { $0.key < $1.key }) {
            do throws(Problem) {
                let sensor = try SensorSettings(name: name, text: text)
                if let power = sensor.powerOutput, !outputs.contains(where: { $0.name == power }) {
                    throw Problem(text: "power=\(power) is not one of the outputs")
                }
                sensors.append(sensor)
            } catch {
                reader.refuse("sensors", "\(name): \(error.text)")
            }
        }
        return sensors
    }

    struct Problem: Error {
        let text: String
    }

    /// - Parameter text: the kind, then options: `scd4x bus=1 interval=60 altitude_m=120`.
    init(name: String, text: String) throws(Problem) {
        let words = text.words().map(String.init)
        guard let kind = words.first, let entry = SensorCatalogue.byKind[kind] else {
            let kinds = SensorCatalogue.all.map(\.kind).joined(separator: ", ")
            throw Problem(text: "`\(words.first ?? "")` is not a kind of sensor: \(kinds)")
        }
        try Self.check(name: name)
        var values = try Self.pairs(words.dropFirst())
        self.name = name
        self.entry = entry
        place = try Self.place(entry, &values)
        let interval = values.removeValue(forKey: "interval") ?? "60"
        guard let seconds = Double(interval), (0.1...86_400).contains(seconds) else {
            throw Problem(text: "interval=\(interval) is not a number of seconds from 0.1 to 86400")
        }
        intervalSeconds = seconds
        corrections = try Self.corrections(entry, &values)
        powerOutput = values.removeValue(forKey: "power")
        if let unknown = values.keys.sorted().first(where: { !entry.options.contains($0) }) {
            let all = (entry.place.options + ["interval", "power"] + entry.options).joined(separator: ", ")
            throw Problem(
                text: "\(kind) has no option `\(unknown)`; it has \(all), and <quantity>_offset and _scale")
        }
        options = SensorOptions(values)
        do throws(SensorError) {
            switch entry.make {
            case .driver(let make): _ = try make(options)
            case .line(let make): _ = try make(options)
            }
        } catch {
            throw Problem(text: error.description)
        }
    }

    static func check(name: String) throws(Problem) {
        let isName = name.utf8.allSatisfy {
            $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".")
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20)
        }
        guard isName, (1...64).contains(name.utf8.count), name != "board" else {
            throw Problem(text: "a name has 1 to 64 of A-Z a-z 0-9 . _ -, and `board` is the box's own")
        }
    }

    static func pairs(_ words: some Sequence<String>) throws(Problem) -> [String: String] {
        var values: [String: String] = [:]
        for word in words {
            let pair = word.parts(at: "=", maximumSplits: 1).map(String.init)
            guard pair.count == 2 else { throw Problem(text: "`\(word)` is not name=value") }
            values[pair[0]] = pair[1]
        }
        return values
    }

    private static func place(
        _ entry: SensorCatalogue.Entry, _ values: inout [String: String]
    ) throws(Problem) -> Place {
        switch entry.place {
        case .i2c(let usual):
            let bus = values.removeValue(forKey: "bus") ?? "1"
            let text = values.removeValue(forKey: "address")
            let digits = text.map { $0.hasPrefix("0x") ? String($0.dropFirst(2)) : $0 }
            let address = digits.map { UInt8($0, radix: 16) } ?? usual
            guard let address, (0x03...0x77).contains(address) else {
                throw Problem(text: "address=\(text ?? "") is not an address from 0x03 to 0x77")
            }
            return .i2c(adapter: I2CAdapter(bus), address: address)
        case .serial(let baud):
            guard let port = values.removeValue(forKey: "port") else {
                throw Problem(text: "it needs port=, such as port=/dev/serial0")
            }
            return .serial(path: port, baud: baud)
        case .file:
            guard let path = values.removeValue(forKey: "path") else {
                throw Problem(text: "it needs path=, such as path=/sys/bus/w1/devices/28-0123456789ab/w1_slave")
            }
            return .file(path: path)
        case .line: return .line(try LinePlace(&values))
        }
    }

    private static func corrections(
        _ entry: SensorCatalogue.Entry, _ values: inout [String: String]
    ) throws(Problem) -> [String: SensorWatch.Correction] {
        var corrections: [String: SensorWatch.Correction] = [:]
        // The quantity of a line has the name that the settings give it.
        let own = values.keys.compactMap { key in
            ["_offset", "_scale"].first { key.hasSuffix($0) }.map { String(key.dropLast($0.count)) }
        }
        for quantity in entry.ranges.isEmpty ? Array(Set(own)) : Array(entry.ranges.keys) {
            var correction = SensorWatch.Correction()
            let before = values.count
            for (suffix, path) in [("_offset", \SensorWatch.Correction.offset), ("_scale", \.scale)] {
                guard let text = values.removeValue(forKey: quantity + suffix) else { continue }
                guard let number = Double(text), number.isFinite else {
                    throw Problem(text: "\(quantity)\(suffix)=\(text) is not a number")
                }
                correction[keyPath: path] = number
            }
            if values.count < before { corrections[quantity] = correction }
        }
        return corrections
    }
}

extension SensorPlace {
    /// What says where it is.
    fileprivate var options: [String] {
        switch self {
        case .i2c: ["bus", "address"]
        case .serial: ["port"]
        case .file: ["path"]
        case .line: ["line", "chip", "offset", "active", "pull"]
        }
    }
}

extension LinePlace {
    /// Takes what says where a line is out of `values`: line= or chip= and offset=, active=, pull=.
    init(_ values: inout [String: String]) throws(SensorSettings.Problem) {
        self.init()
        lineName = values.removeValue(forKey: "line")
        chipLabel = values.removeValue(forKey: "chip")
        if let text = values.removeValue(forKey: "offset") {
            guard let number = Int(text), (0...1023).contains(number) else {
                throw SensorSettings.Problem(text: "offset=\(text) is not a number from 0 to 1023")
            }
            offset = number
            guard lineName == nil, chipLabel != nil else {
                throw SensorSettings.Problem(text: "offset= goes with chip=, the label of a chip, and without line=")
            }
        } else if lineName == nil {
            throw SensorSettings.Problem(text: "it needs line=, such as line=GPIO17, or chip= and offset=")
        }
        switch values.removeValue(forKey: "active") ?? "high" {
        case "high": isActiveLow = false
        case "low": isActiveLow = true
        case let other: throw SensorSettings.Problem(text: "active=\(other) is neither high nor low")
        }
        switch values.removeValue(forKey: "pull") ?? "" {
        case "": pull = .asIs
        case "up": pull = .up
        case "down": pull = .down
        case "off": pull = .off
        case let other: throw SensorSettings.Problem(text: "pull=\(other) is none of up, down, off")
        }
    }
}
