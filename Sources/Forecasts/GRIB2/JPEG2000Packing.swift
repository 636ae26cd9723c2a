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
        let samples = try Self.samples(Array(data), count: count)
        return samples.map { Float(scale.reference + Double($0) * scale.factor) }
    }

    /// What the library reads from.
    private final class Source {
        let bytes: [UInt8]
        var position = 0

        init(_ bytes: [UInt8]) { self.bytes = bytes }
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
        guard unsafe opj_decode(codec, stream, found) == 1, let component = unsafe found.pointee.comps,
            unsafe Int(component.pointee.w) * Int(component.pointee.h) == count,
            let data = unsafe component.pointee.data
        else { throw .malformed("its image is damaged") }
        return unsafe Array(UnsafeBufferPointer(start: data, count: count))
    }
}
