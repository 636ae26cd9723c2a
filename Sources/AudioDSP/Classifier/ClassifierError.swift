/// The classifier cannot start or run.
public struct ClassifierError: Error, CustomStringConvertible {
    public enum Code: String, Sendable {
        case libraryMissing = "the TensorFlow Lite library could not be loaded"
        case modelUnreadable = "the model could not be read"
        case modelUnfit = "the model is not the one expected"
        case labelsUnreadable = "the labels could not be read"
        case labelsUnfit = "the labels do not belong to the model"
        case interpreter = "the interpreter could not be made"
        case invoke = "the model could not be run"
    }

    public let code: Code
    public let path: String
    public let reason: String

    public init(_ code: Code, path: String, reason: String) {
        self.code = code
        self.path = path
        self.reason = reason
    }

    public var description: String {
        let advice: String
        switch code {
        case .libraryMissing, .modelUnreadable, .labelsUnreadable:
            advice = "run `make setup`, set its path in the settings, or set analyze_recordings: false"
        case .modelUnfit, .labelsUnfit: advice = "take model, labels and library of one release (`make setup` does)"
        case .interpreter, .invoke:
            advice = "look at free memory, and at the model file's checksum with `edge-aggregator doctor`"
        }
        return "\(code.rawValue): \(path): \(reason); \(advice)"
    }
}
