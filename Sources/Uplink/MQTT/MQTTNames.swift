/// Turns the names of listeners, sensors, nodes and boxes into parts of MQTT topics and of Home Assistant's ids.
///
/// Different names stay different. A character that may not stand in the result is written as `--` and the two hexadecimal
/// digits of each of its UTF-8 bytes: `porch.1` becomes `porch--2e1`. So that the result can be read back, a hyphen that
/// stands before another hyphen, or before such a character, is written as `--2d`. All other names stay as they are.
public enum MQTTNames {
    /// For a discovery topic, in which Home Assistant allows `[a-zA-Z0-9_-]` (Home Assistant, "MQTT", discovery topic).
    public static func discoveryID(_ name: some StringProtocol) -> String {
        encode(name) { scalar in
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", "_", "-": true
            default: false
            }
        }
    }

    /// For one level of a topic: without the separator of levels and the wildcards (MQTT 5, §4.7.1), and without what brokers
    /// may refuse in any text: control characters and noncharacters (§1.5.4).
    public static func topicLevel(_ name: some StringProtocol) -> String {
        encode(name) { scalar in
            switch scalar.value {
            case 0x23, 0x2B, 0x2F, 0..<0x20, 0x7F...0x9F, 0xFDD0...0xFDEF: false
            default: scalar.value & 0xFFFE != 0xFFFE
            }
        }
    }

    private static let hyphen: Unicode.Scalar = "-"

    private static func encode(
        _ name: some StringProtocol, isAllowed: (Unicode.Scalar) -> Bool
    ) -> String {
        var result = ""
        let scalars = Array(name.unicodeScalars)
        for (index, scalar) in scalars.enumerated() {
            let next = index + 1 < scalars.count ? scalars[index + 1] : nil
            let isBeforeHyphen = next.map { $0 == hyphen || !isAllowed($0) } ?? false
            if isAllowed(scalar), scalar != hyphen || !isBeforeHyphen {
                result.unicodeScalars.append(scalar)
            } else {
                for byte in String(scalar).utf8 { result += "--" + (byte < 16 ? "0" : "") + String(byte, radix: 16) }
            }
        }
        return result
    }

    // MARK: - Former forms

    /// What earlier releases made of a name for discovery. Different names could become the same.
    static func formerDiscoveryID(_ name: String) -> String {
        // Characters: as those releases took it.
        String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") ? $0 : "_" })
    }

    /// The same for one level of a topic.
    static func formerTopicLevel(_ name: String) -> String {
        // Characters: as those releases took it.
        String(name.map { "/+#".contains($0) ? "_" : $0 })
    }
}
