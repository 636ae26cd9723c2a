/// The chunks of an array that a window of one time shows, and where their values go.
public struct ZarrWindow: Sendable {
    public struct Piece: Sendable, Hashable {
        public let key: String
        /// In the window.
        public let row: Int
        public let column: Int
        public let rows: Int
        public let columns: Int
        /// Where in the chunk.
        let chunkRow: Int
        let chunkColumn: Int
    }

    public let pieces: [Piece]
    private let array: ZarrArray

    /// - Parameters:
    ///   - leading: the places in all dimensions but the last two, which are rows and columns.
    public init(_ array: ZarrArray, leading: [Int], window: GridWindow) throws(ZarrError) {
        self.array = array
        let rank = array.shape.count
        guard rank == leading.count + 2, zip(leading, array.shape).allSatisfy({ $0 >= 0 && $0 < $1 }) else {
            throw ZarrError("\(array.name) has the shape \(array.shape)")
        }
        let (height, width) = (array.chunks[rank - 2], array.chunks[rank - 1])
        guard window.rows.upperBound <= array.shape[rank - 2],
            window.columns.allSatisfy({ $0.upperBound <= array.shape[rank - 1] })
        else { throw ZarrError("\(array.name) is smaller than its grid") }
        let lead = zip(leading, array.chunks).map { $0 / $1 }
        var pieces: [Piece] = []
        for y in (window.rows.lowerBound / height)...((window.rows.upperBound - 1) / height) {
            let rows = window.rows.clamped(to: (y * height)..<((y + 1) * height))
            var before = 0
            for stretch in window.columns {
                for x in (stretch.lowerBound / width)...((stretch.upperBound - 1) / width) {
                    let columns = stretch.clamped(to: (x * width)..<((x + 1) * width))
                    pieces.append(
                        Piece(
                            key: array.key(lead + [y, x]), row: rows.lowerBound - window.rows.lowerBound,
                            column: before + columns.lowerBound - stretch.lowerBound, rows: rows.count,
                            columns: columns.count, chunkRow: rows.lowerBound - y * height,
                            chunkColumn: columns.lowerBound - x * width))
                }
                before += stretch.count
            }
        }
        self.pieces = pieces
        self.leading = zip(leading, array.chunks).map { $0 % $1 }
    }

    /// In the chunk.
    private let leading: [Int]

    /// The values of a piece, row by row; `body` is its chunk, nil for one that is not there: it has no values.
    public func values(_ piece: Piece, _ body: [UInt8]?) throws(ZarrError) -> [Float] {
        guard let body else { return [Float](repeating: .nan, count: piece.rows * piece.columns) }
        let chunk = try array.chunk(body)
        let rank = array.chunks.count
        let width = array.chunks[rank - 1]
        var start = 0
        for (place, count) in zip(leading, array.chunks) { start = start * count + place }
        start *= array.chunks[rank - 2] * width
        var values: [Float] = []
        values.reserveCapacity(piece.rows * piece.columns)
        for row in 0..<piece.rows {
            let from = start + (piece.chunkRow + row) * width + piece.chunkColumn
            for place in from..<(from + piece.columns) { values.append(Float(chunk[place])) }
        }
        return values
    }
}
