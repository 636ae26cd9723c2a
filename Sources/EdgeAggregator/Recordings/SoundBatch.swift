import AudioDSP
import Foundation

/// Sound of one call of ``StreamSession/receive(_:parts:)`` that waits to be written together.
///
/// It holds places in the block being received and bytes of its own. The block is given again when it is used, so no
/// pointer is kept between calls. It lives no longer than the call: what is not written by then is gone.
struct SoundBatch {
    private struct Piece {
        let isInBlock: Bool
        let range: Range<Int>
    }

    private var pieces: [Piece] = []
    private var gathered: [UInt8] = []

    var isEmpty: Bool { pieces.isEmpty }
    var pieceCount: Int { pieces.count }
    var byteCount: Int { pieces.reduce(0) { $0 + $1.range.count } }

    mutating func append(_ bytes: SampleBytes) {
        switch bytes {
        case .inBlock(let range): pieces.append(Piece(isInBlock: true, range: range))
        case .gathered(let bytes):
            pieces.append(Piece(isInBlock: false, range: gathered.count..<(gathered.count + bytes.count)))
            gathered.append(contentsOf: bytes)
        }
    }

    mutating func removeAll() {
        pieces.removeAll(keepingCapacity: true)
        gathered.removeAll(keepingCapacity: true)
    }

    /// Calls `body` with each piece, in order.
    func forEach<Failure: Error>(
        of block: Span<UInt8>, _ body: (Span<UInt8>) throws(Failure) -> Void
    ) throws(Failure) {
        for piece in pieces {
            try body(piece.isInBlock ? block.extracting(piece.range) : gathered.span.extracting(piece.range))
        }
    }

    /// Gives what is left to `body`, as a list for `writev`.
    ///
    /// - Parameters:
    ///   - first: the first piece.
    ///   - skippedBytes: how many of its bytes are left out.
    ///   - body: returns a number, so that no address can leave it.
    ///
    /// Memory: the block is the caller's and `gathered` is this value's. Both stay while the closures run, and the list of their
    /// addresses is gone with the innermost one.
    func withVectors(
        of block: Span<UInt8>, first: Int, skippedBytes: Int, _ body: (UnsafeBufferPointer<iovec>) -> Int
    ) -> Int {
        let count = min(pieces.count - first, 1024)
        return unsafe block.withUnsafeBytes { block in
            unsafe gathered.withUnsafeBytes { gathered in
                unsafe withUnsafeTemporaryAllocation(of: iovec.self, capacity: count) { vectors in
                    for index in 0..<count {
                        let piece = pieces[first + index]
                        let bytes = unsafe piece.isInBlock ? block[piece.range] : gathered[piece.range]
                        let rest = unsafe UnsafeRawBufferPointer(
                            rebasing: index == 0 ? bytes.dropFirst(skippedBytes) : bytes)
                        unsafe vectors.initializeElement(
                            at: index,
                            to: iovec(
                                iov_base: UnsafeMutableRawPointer(mutating: rest.baseAddress), iov_len: rest.count))
                    }
                    return unsafe body(UnsafeBufferPointer(vectors))
                }
            }
        }
    }

    func byteCount(ofPiece index: Int) -> Int { pieces[index].range.count }
}
