#pragma once

#include <zlib.h>

// deflateInit2 is a macro, which Swift does not see. 16 + 15 asks for a gzip header and the largest window.
//
// Memory: zlib keeps the address of `stream`, which must stay in place until deflateEnd or inflateEnd, and allocates its state, which
// those free. It uses next_in and next_out during each call only.
static inline int edge_gzip_begin(z_stream *stream, int level) {
    return deflateInit2(stream, level, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY);
}
static inline int edge_gunzip_begin(z_stream *stream) {
    return inflateInit2(stream, 16 + 15);
}
