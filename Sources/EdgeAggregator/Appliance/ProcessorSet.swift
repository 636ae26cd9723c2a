import CEdgeSystem
import TextParts

/// Processors by number, as taskset(1) and the settings write them: `0,2-3`.
struct ProcessorSet: Equatable, Sendable {
    /// Bit 0 is the first.
    let mask: UInt64

    /// Nil when the text is not such a list, or names none; numbers are 0...63.
    init?(_ text: String) {
        var mask: UInt64 = 0
        for part in text.parts(at: ",") {
            let ends = part.parts(at: "-", maximumSplits: 1, omittingEmpty: false)
                .map { Int(String($0).trimmingSpaces) }
            guard let first = ends[0], let last = ends[ends.count - 1], first >= 0, first <= last, last < 64 else {
                return nil
            }
            for number in first...last { mask |= 1 << UInt64(number) }
        }
        guard mask != 0 else { return nil }
        self.mask = mask
    }

    /// Binds the calling thread, and those it starts. False when the machine has none of them; then nothing is changed.
    func bind() -> Bool { edge_use_processors(mask) == 0 }

    /// The same for all threads that there are.
    func bindEverything() -> Bool { edge_use_processors_everywhere(mask) > 0 }
}
