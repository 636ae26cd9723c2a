/// Reads numbers of any width out of bytes, the highest bit first.
///
/// The bytes are copied with some zeros behind them, so that a number is always one load of eight bytes.
struct BitField {
    private let padded: [UInt8]
    /// Bits that are really there.
    let bitCount: Int

    init(_ bytes: ArraySlice<UInt8>) {
        bitCount = bytes.count * 8
        var padded = [UInt8]()
        padded.reserveCapacity(bytes.count + 8)
        padded += bytes
        padded += [0, 0, 0, 0, 0, 0, 0, 0]
        self.padded = padded
    }

    /// For hot loops: whoever reads has checked ``bitCount``. It holds no address: that is borrowed for each read.
    struct Cursor {
        private(set) var position: Int
        private let width: Int
        private let mask: UInt64

        /// - Parameters:
        ///   - position: of the first bit.
        ///   - width: 0...32.
        init(at position: Int, width: Int) {
            self.position = position
            self.width = width
            mask = (1 << UInt64(width)) - 1
        }

        /// Memory: the field owns what ``BitField/withBase(_:)`` hands out, with eight bytes behind the last bit.
        mutating func next(_ base: UnsafeRawPointer) -> Int {
            let word = unsafe UInt64(bigEndian: base.loadUnaligned(fromByteOffset: position >> 3, as: UInt64.self))
            // A number and the bits before it in its first byte have 39 bits at most.
            let value = (word >> UInt64(64 - width - (position & 7))) & mask
            position += width
            return Int(value)
        }
    }

    /// Hands out the address of the first bit.
    ///
    /// Memory: the field owns it; it is valid until `body` returns.
    func withBase<Result>(
        _ body: (UnsafeRawPointer) throws(GRIBError) -> Result
    ) throws(GRIBError) -> Result {
        let outcome = unsafe padded.withUnsafeBytes { bytes -> Swift.Result<Result, GRIBError>? in
            guard let base = bytes.baseAddress else { return nil }
            do throws(GRIBError) { return unsafe .success(try body(base)) } catch { return .failure(error) }
        }
        // There are eight bytes at least, and so an address.
        guard let outcome else { throw .truncated("there are no values") }
        return try outcome.get()
    }
}
