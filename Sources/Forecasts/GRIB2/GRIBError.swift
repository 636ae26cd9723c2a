/// What is wrong with a GRIB message.
public enum GRIBError: Error, Sendable, Equatable, CustomStringConvertible {
    /// It ends before something that it says it has.
    case truncated(String)
    /// It says something that cannot be.
    case malformed(String)
    /// It is well formed, and uses what this decoder does not know. `number` is the template's, such as `5.42`.
    case unknownTemplate(String)
    case unsupported(String)

    public var description: String {
        switch self {
        case .truncated(let what): "the GRIB message is cut: \(what)"
        case .malformed(let what): "the GRIB message is malformed: \(what)"
        case .unknownTemplate(let number): "GRIB template \(number) is not known here"
        case .unsupported(let what): "the GRIB message has \(what), which is not known here"
        }
    }
}
