import Foundation

/// What `edge-aggregator benchmark` measured: the file to send back.
///
/// A value that the machine does not tell is null, and so is a part that was left out. Nothing in it names the host, its place or
/// its user, and no setting is in it but the ones that the figures depend on.
struct BenchmarkReport: Encodable, Sendable {
    /// Grows when a field changes its meaning.
    let format = 1
    let program: Program
    /// RFC 3339, UTC.
    let date: String
    /// As the operator gave it.
    @OrNull var note: String?
    let secondsPerMeasurement: Double
    /// Whether a daemon worked in `base_dir` meanwhile.
    let besideDaemon: Bool
    let machine: BenchmarkMachine
    let before: BoardState
    let after: BoardState
    @OrNull var analysis: AnalysisBenchmark.Report?
    @OrNull var disk: DiskBenchmark.Report?
    @OrNull var reception: ReceptionBenchmark.Report?

    struct Program: Encodable, Sendable {
        let version: String
        /// `debug` figures are compared with nothing.
        let build: String

        static var this: Program {
            #if DEBUG
            Program(version: Version.text, build: "debug")
            #else
            Program(version: Version.text, build: "release")
            #endif
        }
    }

    var json: Data {
        get throws {
            let encoder = JSONEncoder()
            encoder.keyEncodingStrategy = .convertToSnakeCase
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return try encoder.encode(self) + Data("\n".utf8)
        }
    }
}

/// A value that is written as null when it is not known, instead of being left out.
@propertyWrapper
struct OrNull<Value: Encodable & Sendable>: Encodable, Sendable {
    var wrappedValue: Value?

    init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let wrappedValue { try container.encode(wrappedValue) } else { try container.encodeNil() }
    }
}

/// How long something took, of many times.
struct Distribution: Encodable, Equatable, Sendable {
    let samples: Int
    let p50Milliseconds: Double
    let p99Milliseconds: Double
    let maximumMilliseconds: Double

    /// By nearest rank: the smallest value that at least so many percent of all do not exceed.
    ///
    /// - Parameter seconds: at least one.
    init(ofSeconds seconds: [Double]) {
        let sorted = seconds.sorted()
        func rank(_ percent: Int) -> Double {
            sorted[max(0, (sorted.count * percent + 99) / 100 - 1)] * 1000
        }
        samples = sorted.count
        p50Milliseconds = rank(50)
        p99Milliseconds = rank(99)
        maximumMilliseconds = rank(100)
    }
}

/// What a listener that always hears something asks of the analysis: a window begins every `stepSeconds`.
struct ListenerLoad: Sendable {
    static let formula = "listeners = floor(windows_per_second * (3 - overlap_sec))"

    let stepSeconds: Double

    /// - Parameter stepSamples: from one window's start to the next's, at 48 kHz.
    init(stepSamples: Int) {
        stepSeconds = Double(stepSamples) / 48_000
    }

    var windowsPerSecond: Double { 1 / stepSeconds }

    /// How many such listeners so many windows a second are enough for.
    func listeners(windowsPerSecond rate: Double) -> Int { Int((rate * stepSeconds + 1e-9).rounded(.down)) }
}
