// The hash by which a window is known, on both sides of the oracle.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t windowHash(const void *bytes, size_t count) {
    uint64_t hash = 0xCBF29CE484222325u;
    const unsigned char *next = bytes;
    for (; count >= 8; count -= 8, next += 8) {
        uint64_t word;
        memcpy(&word, next, 8);
        hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 29;
    }
    return hash ^ hash >> 32;
}
