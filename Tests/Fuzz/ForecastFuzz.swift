// An entry point for libFuzzer: what servers of forecasts send, damaged; FUZZ_PART says of which kind (GRIB, INDEX, ZARR,
// BLOSC). Together with Sources/Forecasts this is one program. Whatever comes, it ends in values or in an error.

import Foundation

private let part = ProcessInfo.processInfo.environment["FUZZ_PART"] ?? ""

/// More points than that only cost time here.
private let mostPoints = 20_000

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let data, count > 0 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    switch part {
    case "GRIB": grib(bytes)
    case "INDEX": index(bytes)
    case "ZARR": zarr(bytes)
    case "BLOSC": blosc(bytes)
    default: preconditionFailure("FUZZ_PART says nothing")
    }
    return 0
}

private func grib(_ bytes: [UInt8]) {
    guard let messages = try? GRIBMessage.all(bytes) else { return }
    for field in messages.flatMap(\.fields) {
        if let product = try? field.product() { precondition(product.surfaceType <= 255) }
        if let step = try? field.precision() { precondition(step >= 0) }
        guard let grid = try? field.grid() else { continue }
        precondition(grid.rows * grid.columns <= GRIBField.mostPoints)
        guard grid.rows * grid.columns <= mostPoints, let values = try? field.values() else { continue }
        precondition(values.count == grid.rows * grid.columns)
        if let whole = try? field.field() {
            precondition(whole.values.count == values.count)
            if let window = GridWindow(whole.grid, in: .globe) {
                precondition(whole.cut(window).values.count == window.grid.points)
            }
            _ = whole.value(latitude: 10, longitude: 20, isDirection: true)
            precondition(FieldPicture(whole).lines.count <= 20_000)
        }
    }
}

private func index(_ bytes: [UInt8]) {
    guard let index = try? GFSIndex(bytes) else { return }
    precondition(!index.records.isEmpty)
    var ranges: [ByteRange] = []
    for record in index.records {
        guard let range = index.range(variable: record.variable, level: record.level) else { preconditionFailure() }
        precondition(range.first >= 0 && (range.end ?? .max) > range.first)
        ranges.append(range)
    }
    for range in ByteRange.merged(ranges) { precondition((range.end ?? .max) > range.first) }
    _ = index.isOf(runSeconds: 0)
}

private func zarr(_ bytes: [UInt8]) {
    guard let metadata = try? ZarrMetadata(bytes) else { return }
    let grid = RegularGrid(
        latitude: RegularAxis(first: 0, step: 1, count: 7), longitude: RegularAxis(first: 0, step: 1, count: 9))
    guard let window = GridWindow(grid, in: .globe) else { return }
    for array in metadata.arrays.values {
        _ = try? TimeUnits(array.units)
        precondition(array.chunkBytes > 0 && array.chunkBytes <= 256 << 20)
        guard array.shape.count >= 2,
            let pieces = try? ZarrWindow(
                array, leading: [Int](repeating: 0, count: array.shape.count - 2), window: window)
        else { continue }
        var points = 0
        for piece in pieces.pieces {
            points += piece.rows * piece.columns
            guard array.chunkBytes <= 8 * mostPoints else { continue }
            let body = array.isPacked ? bytes : [UInt8](repeating: 7, count: array.chunkBytes)
            if let values = try? pieces.values(piece, body) { precondition(values.count == piece.rows * piece.columns) }
        }
        precondition(points == window.grid.points)
    }
}

private func blosc(_ bytes: [UInt8]) {
    // The size that is wanted comes from elsewhere: mostly it is what the header says.
    let told = bytes.count >= 8 ? (0..<4).reduce(0) { $0 | Int(bytes[4 + $1]) << (8 * $1) } : 0
    for wanted in [told, 4096] where wanted <= 1 << 20 {
        if let unpacked = try? BloscChunk.unpack(bytes, byteCount: wanted) { precondition(unpacked.count == wanted) }
    }
}
