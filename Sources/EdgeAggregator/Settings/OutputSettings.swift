import Sensors
import TextParts

/// A line that the box sets: a relay, a lamp, the power of a sensor, a watchdog outside.
struct OutputSettings: Sendable {
    enum Mode: Sendable, Hashable {
        /// Set by command; so at the start.
        case switched(isOn: Bool)
        /// Toggles at this period for as long as the daemon lives.
        case heartbeat(periodSeconds: Double)
        /// The same, and stops when the daemon does not get on with its work.
        case watchdog(periodSeconds: Double)

        var text: String {
            switch self {
            case .switched: "switch"
            case .heartbeat: "heartbeat"
            case .watchdog: "watchdog"
            }
        }
    }

    let name: String
    let place: LinePlace
    let mode: Mode

    /// All of `outputs`; what is wrong with them is told to the reader.
    static func all(_ reader: inout SettingsReader) -> [OutputSettings] {
        var outputs: [OutputSettings] = []
        for (name, text) in reader.map("outputs").sorted(by: { $0.key < $1.key }) {
            do throws(SensorSettings.Problem) {
                outputs.append(try OutputSettings(name: name, text: text))
            } catch {
                reader.refuse("outputs", "\(name): \(error.text)")
            }
        }
        return outputs
    }

    /// - Parameter text: `line=GPIO22 active=low initial=on`, or `line=GPIO23 mode=watchdog period=1`.
    init(name: String, text: String) throws(SensorSettings.Problem) {
        try SensorSettings.check(name: name)
        var values = try SensorSettings.pairs(text.words().map(String.init))
        self.name = name
        place = try LinePlace(&values)
        let initial = values.removeValue(forKey: "initial") ?? "off"
        guard ["on", "off"].contains(initial) else {
            throw SensorSettings.Problem(text: "initial=\(initial) is neither on nor off")
        }
        let period = values.removeValue(forKey: "period") ?? "1"
        guard let seconds = Double(period), (0.02...3600).contains(seconds) else {
            throw SensorSettings.Problem(text: "period=\(period) is not a number of seconds from 0.02 to 3600")
        }
        switch values.removeValue(forKey: "mode") ?? "switch" {
        case "switch": mode = .switched(isOn: initial == "on")
        case "heartbeat": mode = .heartbeat(periodSeconds: seconds)
        case "watchdog": mode = .watchdog(periodSeconds: seconds)
        case let other: throw SensorSettings.Problem(text: "mode=\(other) is none of switch, heartbeat, watchdog")
        }
        if let unknown = values.keys.min() {
            throw SensorSettings.Problem(text: "an output has no option `\(unknown)`")
        }
    }
}
