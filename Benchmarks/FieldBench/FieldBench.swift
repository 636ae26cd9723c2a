import Forecasts
import Foundation

/// `field-bench FILE COUNT`: decodes the messages of a GRIB2 file so many times; prints milliseconds a time.
@main
enum FieldBench {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3, let count = Int(arguments[2]), count > 0 else {
            FileHandle.standardError.write(Data("usage: field-bench FILE COUNT\n".utf8))
            exit(64)
        }
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: arguments[1])))
        var sum = 0.0
        let begun = ContinuousClock.now
        for _ in 0..<count {
            for message in try GRIBMessage.all(bytes) {
                for field in message.fields { sum += Double(try field.values().last ?? 0) }
            }
        }
        let passed = ContinuousClock.now - begun
        let seconds = Double(passed.components.seconds) + Double(passed.components.attoseconds) / 1e18
        print(seconds * 1000 / Double(count), sum / Double(count))
    }
}
