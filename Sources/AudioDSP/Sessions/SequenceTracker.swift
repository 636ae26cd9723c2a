/// Follows the 24-bit sequence numbers of one stream.
///
/// 0xFFFFFF never counts audio, so the numbers run from 0 to 0xFFFFFE and begin again at 0.
struct SequenceTracker: Sendable, Equatable {
    /// Marks a metadata frame, whose content is not defined.
    static let metadata: UInt32 = 0xFF_FFFF
    /// How many numbers there are.
    static let modulus: UInt32 = 0xFF_FFFF
    /// More missing frames in a row are not told apart: the numbers have come round.
    static let maximumMissing = Int(modulus)
    /// So many frames in a row that go on from an old number mean that the sender counts anew.
    static let resynchronisationFrames = 16

    enum Verdict: Equatable {
        case inOrder
        /// So many frames are missing before this one.
        case missing(Int)
        case duplicate
        case old
        /// The sender counts anew, without having said so by sequence 0.
        case reset
    }

    /// The next number due; nil before the first frame.
    private(set) var expected: UInt32?
    private var lastOld: UInt32?
    private var oldStreak = 0

    /// Judges the number of a frame that carries audio, and moves on if the frame is to be used.
    mutating func judge(_ sequence: UInt32) -> Verdict {
        guard let expected else {
            accept(sequence)
            return .inOrder
        }
        let modulus = Self.modulus
        let ahead = (sequence + modulus - expected) % modulus
        if ahead <= modulus / 2 {
            accept(sequence)
            return ahead == 0 ? .inOrder : .missing(Int(ahead))
        }
        oldStreak = lastOld.map { Self.next($0) } == sequence ? oldStreak + 1 : 1
        lastOld = sequence
        if oldStreak >= Self.resynchronisationFrames {
            accept(sequence)
            return .reset
        }
        return Self.next(sequence) == expected ? .duplicate : .old
    }

    /// Takes `sequence` as the newest, whatever came before.
    mutating func accept(_ sequence: UInt32) {
        expected = Self.next(sequence)
        lastOld = nil
        oldStreak = 0
    }

    static func next(_ sequence: UInt32) -> UInt32 {
        let following = sequence + 1
        return following >= modulus ? 0 : following
    }
}
