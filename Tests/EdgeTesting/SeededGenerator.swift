import Foundation

/// Random numbers that repeat with their seed (SplitMix64, Steele et al. 2014). Prints the seed when it is created.
public struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    /// - Parameters:
    ///   - seed: by default the environment's `EDGE_SEED`, which continuous integration sets, or else a new random one.
    ///   - name: the test that the printed seed belongs to.
    public init(seed: UInt64? = nil, name: String = #function) {
        let fixed = ProcessInfo.processInfo.environment["EDGE_SEED"].flatMap { UInt64($0) }
        let seed = seed ?? fixed ?? UInt64.random(in: 0...UInt64.max)
        print("seed of \(name): \(seed)")
        state = seed
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    public mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }
}
