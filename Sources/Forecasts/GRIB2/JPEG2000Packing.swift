import COpenJPEG
import Foundation

/// Template 5.40: the values are the samples of an image (ISO/IEC 15444-1). What NCEP writes its waves with.
struct JPEG2000Packing {
    private let scale: GRIBScale

    init(_ section: GRIBOctets) throws(GRIBError) {
        scale = try GRIBScale(section)
    }

    func values(_ data: ArraySlice<UInt8>, count: Int) throws(GRIBError) -> [Float] {
        guard scale.bits > 0, count > 0 else { return [Float](repeating: scale.constant, count: count) }
        let codestream = Array(data)
        try JPEG2000Markers.check(codestream)
        let samples = try Self.samples(codestream, count: count)
        return samples.map { Float(scale.reference + Double($0) * scale.factor) }
    }

    /// What the library reads from.
    private final class Source {
        let bytes: [UInt8]
        var position = 0

        init(_ bytes: [UInt8]) { self.bytes = bytes }
    }

    /// Tiles, and packets of all tiles, of an image. NCEP's writers make one tile with some ten packets; a header of a few octets
    /// can name millions, each of which costs time and memory.
    static let maximumTiles = 1024
    static let maximumPackets = 65_536

    /// Rejects an image whose structure, as its main header tells it, takes too long to go through, before anything of it is decoded.
    ///
    /// Memory: the caller owns the codec. OpenJPEG makes the information, which is destroyed before the return.
    private static func checkWork(
        _ codec: UnsafeMutablePointer<opj_codec_t?>, width: Int, height: Int
    ) throws(GRIBError) {
        var info = unsafe opj_get_cstr_info(codec)
        defer { unsafe opj_destroy_cstr_info(&info) }
        guard let found = unsafe info, let component = unsafe found.pointee.m_default_tile_info.tccp_info else {
            throw .malformed("its image has no description")
        }
        let tiles = unsafe Int(found.pointee.tw) * Int(found.pointee.th)
        guard (1...maximumTiles).contains(tiles) else { throw .unsupported("an image of \(tiles) tiles") }
        let (tileWidth, tileHeight) = unsafe (
            min(Int(found.pointee.tdx), width), min(Int(found.pointee.tdy), height)
        )
        let resolutions = unsafe min(33, Int(component.pointee.numresolutions))
        let (widths, heights) = unsafe (component.pointee.prcw, component.pointee.prch)
        // Without the lowest bit no sizes of precincts are given: each is 2^15 samples wide and high (ISO/IEC 15444-1, A.6.1).
        let hasSizes = unsafe component.pointee.csty & 1 != 0
        var precincts = 0
        // Memory: the tuples are this function's and borrowed for the closure; a tuple of C's has its elements in order.
        unsafe withUnsafeBytes(of: widths) { widths in
            unsafe withUnsafeBytes(of: heights) { heights in
                let widths = unsafe widths.bindMemory(to: UInt32.self)
                let heights = unsafe heights.bindMemory(to: UInt32.self)
                for resolution in 0..<resolutions {
                    let shift = resolutions - 1 - resolution
                    let widthBits = unsafe hasSizes ? Int(widths[resolution]) : 15
                    let heightBits = unsafe hasSizes ? Int(heights[resolution]) : 15
                    precincts += ((tileWidth >> shift) >> widthBits + 2) * ((tileHeight >> shift) >> heightBits + 2)
                }
            }
        }
        let packets = unsafe precincts * tiles * max(1, Int(found.pointee.m_default_tile_info.numlayers))
        guard packets <= maximumPackets else { throw .unsupported("an image of \(packets) packets") }
    }

    /// The samples of a codestream that has one component and `count` of them.
    ///
    /// Memory: codec, stream and image are created here and destroyed before the return on every path. The stream holds a reference
    /// to the source, which OpenJPEG releases when it destroys the stream; its callbacks borrow `room` until they return.
    private static func samples(_ bytes: [UInt8], count: Int) throws(GRIBError) -> [Int32] {
        let source = Source(bytes)
        guard let codec = unsafe opj_create_decompress(OPJ_CODEC_J2K) else {
            throw .unsupported("an image for which there is no memory")
        }
        defer { unsafe opj_destroy_codec(codec) }
        guard let stream = unsafe opj_stream_create(1 << 16, 1) else {
            throw .unsupported("an image for which there is no memory")
        }
        var image: UnsafeMutablePointer<opj_image_t>?
        defer {
            unsafe opj_image_destroy(image)
            unsafe opj_stream_destroy(stream)
        }
        unsafe opj_stream_set_user_data(stream, Unmanaged.passRetained(source).toOpaque()) { context in
            if let context = unsafe context { unsafe Unmanaged<Source>.fromOpaque(context).release() }
        }
        unsafe opj_stream_set_user_data_length(stream, UInt64(bytes.count))
        unsafe opj_stream_set_read_function(stream) { room, wanted, context in
            guard let room = unsafe room, let context = unsafe context else { return OPJ_SIZE_T.max }
            let source = unsafe Unmanaged<Source>.fromOpaque(context).takeUnretainedValue()
            let count = min(Int(wanted), source.bytes.count - source.position)
            guard count > 0 else { return OPJ_SIZE_T.max }
            unsafe source.bytes.withUnsafeBytes { bytes in
                unsafe UnsafeMutableRawBufferPointer(start: room, count: count).copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: bytes[source.position..<(source.position + count)]))
            }
            source.position += count
            return OPJ_SIZE_T(count)
        }
        unsafe opj_stream_set_skip_function(stream) { wanted, context in
            guard let context = unsafe context else { return -1 }
            let source = unsafe Unmanaged<Source>.fromOpaque(context).takeUnretainedValue()
            let count = max(0, min(Int(wanted), source.bytes.count - source.position))
            source.position += count
            return OPJ_OFF_T(count)
        }
        unsafe opj_stream_set_seek_function(stream) { wanted, context in
            guard let context = unsafe context else { return 0 }
            let source = unsafe Unmanaged<Source>.fromOpaque(context).takeUnretainedValue()
            guard (0...source.bytes.count).contains(Int(wanted)) else { return 0 }
            source.position = Int(wanted)
            return 1
        }
        var parameters = opj_dparameters_t()
        unsafe opj_set_default_decoder_parameters(&parameters)
        guard unsafe opj_setup_decoder(codec, &parameters) == 1, unsafe opj_read_header(stream, codec, &image) == 1,
            let found = unsafe image
        else { throw .malformed("its image cannot be read") }
        // Before anything of its size is allocated.
        let (width, height, components) = unsafe (
            Int(found.pointee.x1) - Int(found.pointee.x0), Int(found.pointee.y1) - Int(found.pointee.y0),
            found.pointee.numcomps
        )
        guard components == 1, width > 0, height > 0,
            width.multipliedReportingOverflow(by: height).partialValue == count
        else {
            throw .malformed(
                "its image has \(width) × \(height) samples in \(components) components, for \(count) values")
        }
        try unsafe Self.checkWork(codec, width: width, height: height)
        guard unsafe opj_decode(codec, stream, found) == 1, let component = unsafe found.pointee.comps,
            unsafe Int(component.pointee.w) * Int(component.pointee.h) == count,
            let data = unsafe component.pointee.data
        else { throw .malformed("its image is damaged") }
        return unsafe Array(UnsafeBufferPointer(start: data, count: count))
    }
}
