#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// From a raw score to a confidence.
///
/// The bias form of BirdNET-Analyzer 2.4: `1 / (1 + exp(-clip(x + 10 (s - 1), -20, 20)))`. A higher sensitivity gives
/// higher confidences; at 1 it is the plain logistic function, and agrees with every other tool.
public struct Sensitivity: Sendable, Hashable {
    public static let range = 0.5...1.5
    private let bias: Float

    /// - Parameter value: 0.5...1.5, clamped.
    public init(_ value: Double = 1) {
        bias = Float(10 * (min(max(value, Self.range.lowerBound), Self.range.upperBound) - 1))
    }

    /// 0...1
    public func score(logit: Float) -> Float {
        1 / (1 + expf(-min(max(logit + bias, -20), 20)))
    }

    /// The raw score whose confidence is `score` (clamped to 1e-6...1 - 1e-6).
    public func logit(forScore score: Float) -> Float {
        let score = min(max(score, 1e-6), 1 - 1e-6)
        return logf(score / (1 - score)) - bias
    }
}
