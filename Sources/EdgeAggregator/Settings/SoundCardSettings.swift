import AudioDSP
import TextParts

/// A sound card that listens.
struct SoundCardSettings: Sendable {
    /// The listener's id.
    let listener: ListenerID
    /// As ALSA names it.
    let device: String
    let sampleRate: Int
    let channels: Int

    /// All of `sound_cards`; what is wrong with them is told to the reader.
    static func all(_ reader: inout SettingsReader) -> [SoundCardSettings] {
        var cards: [SoundCardSettings] = []
        for (name, text) in reader.map("sound_cards").sorted(by: { $0.key < $1.key }) {
            do throws(SensorSettings.Problem) {
                cards.append(try SoundCardSettings(name: name, text: text))
            } catch {
                reader.refuse("sound_cards", "\(name): \(error.text)")
            }
        }
        return cards
    }

    /// - Parameter text: `device=hw:CARD=Device rate=48000 channels=1`.
    init(name: String, text: String) throws(SensorSettings.Problem) {
        try SensorSettings.check(name: name)
        guard let listener = ListenerID(name) else {
            throw SensorSettings.Problem(text: "the name is not a listener's id")
        }
        var values = try SensorSettings.pairs(text.words().map(String.init))
        guard let device = values.removeValue(forKey: "device") else {
            throw SensorSettings.Problem(text: "it needs device=, such as device=hw:CARD=Device (arecord -L)")
        }
        self.listener = listener
        self.device = device
        sampleRate = try Self.number("rate", 48_000, PCMFormat.sampleRateRange, &values)
        channels = try Self.number("channels", 1, PCMFormat.channelRange, &values)
        if let unknown = values.keys.min() {
            throw SensorSettings.Problem(text: "a sound card has no option `\(unknown)`")
        }
    }

    private static func number(
        _ name: String, _ fallback: Int, _ range: ClosedRange<Int>, _ values: inout [String: String]
    ) throws(SensorSettings.Problem) -> Int {
        guard let text = values.removeValue(forKey: name) else { return fallback }
        guard let number = Int(text), range.contains(number) else {
            throw SensorSettings.Problem(
                text: "\(name)=\(text) is not a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }
}
