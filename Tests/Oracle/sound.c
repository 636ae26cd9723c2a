// What the byte oracle computes over many samples: sound, its 48 kHz windows, and FLAC. Built and called by native.py.
// Nothing of the daemon or of its libraries is used, so that both cannot be wrong in the same way.

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "window_hash.h"

enum Encoding { unsigned8, signed16, signed24, signed32, float32 };
static const int widths[] = {1, 2, 3, 4, 4};

uint64_t oracle_hash(const void *bytes, size_t count) { return windowHash(bytes, count); }

// MARK: - Sound

static uint64_t scramble(uint64_t value) {
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9u;
    value = (value ^ value >> 27) * 0x94D049BB133111EBu;
    return value ^ value >> 31;
}

// A triangle wave of constant slope, with noise in the lowest bits: the sound is smooth only where it is cut at the
// right byte. `position` counts sample frames, so that a stream can be made in pieces.
void oracle_smooth(int encoding, int channels, int64_t position, int64_t frames, uint64_t seed, uint8_t *output) {
    int width = widths[encoding];
    for (int64_t frame = position; frame < position + frames; frame++) {
        for (int channel = 0; channel < channels; channel++) {
            uint64_t noise = scramble(seed + (uint64_t)frame * 8u + (uint64_t)channel);
            // 64 to 192 steps of 600 up, then down: never at full scale.
            int64_t period = 128, phase = (frame + channel * 17) % period;
            int64_t level = (phase < period / 2 ? phase : period - phase) * 600 - 19200 + (int64_t)(noise & 15);
            if (encoding == float32) {
                float value = (float)level / 32768.0f;
                memcpy(output, &value, 4);
            } else if (encoding == unsigned8) {
                output[0] = (uint8_t)(128 + (level >> 8));
            } else {
                uint32_t value = (uint32_t)(level << 16) | ((uint32_t)(noise >> 8) & 0xFFFF);
                for (int byte = 0; byte < width; byte++) output[byte] = (uint8_t)(value >> (8 * (4 - width + byte)));
            }
            output += width;
        }
    }
}

// A low tone of a tenth of full scale, for rates at which windows are only compared within a tolerance.
void oracle_tone(int encoding, int channels, int rate, int64_t position, int64_t frames, double hertz, uint8_t *output) {
    int width = widths[encoding];
    for (int64_t frame = position; frame < position + frames; frame++) {
        double level = 0.1 * sin(2 * M_PI * hertz * (double)frame / rate);
        for (int channel = 0; channel < channels; channel++) {
            if (encoding == float32) {
                float value = (float)level;
                memcpy(output, &value, 4);
            } else if (encoding == unsigned8) {
                output[0] = (uint8_t)(128 + lrint(level * 127));
            } else {
                uint32_t value = (uint32_t)(int32_t)lrint(level * 2147483647.0);
                for (int byte = 0; byte < width; byte++) output[byte] = (uint8_t)(value >> (8 * (4 - width + byte)));
            }
            output += width;
        }
    }
}

static float sample(int encoding, const uint8_t *bytes) {
    switch (encoding) {
    case unsigned8: return ((float)bytes[0] - 128) / 128;
    case signed16: return (float)(int16_t)(bytes[0] | bytes[1] << 8) / 32768;
    case signed24: return (float)((int32_t)((uint32_t)bytes[0] << 8 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 24) >> 8) / 8388608;
    case signed32: return (float)(int32_t)((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24) / 2147483648.0f;
    default: {
        float value;
        memcpy(&value, bytes, 4);
        // What is not a number is silence, and nothing is louder than a million times full scale.
        return isfinite(value) ? fminf(fmaxf(value, -1e6f), 1e6f) : 0;
    }
    }
}

// One channel of floating point: the mean of all channels, or the one asked for (from 0; -1 for the mean).
void oracle_mono(int encoding, int channels, int channel, const uint8_t *bytes, int64_t frames, float *output) {
    int width = widths[encoding];
    int chosen = channel < channels ? channel : channels - 1;
    for (int64_t frame = 0; frame < frames; frame++, bytes += width * channels) {
        if (channel >= 0) {
            output[frame] = sample(encoding, bytes + chosen * width);
            continue;
        }
        double sum = 0;
        for (int index = 0; index < channels; index++) sum += sample(encoding, bytes + index * width);
        output[frame] = (float)(sum / channels);
    }
}

float oracle_peak(const float *values, int64_t count) {
    float peak = 0;
    for (int64_t index = 0; index < count; index++) peak = fmaxf(peak, fabsf(values[index]));
    return peak;
}

// Where two windows first differ by more than `tolerance`; -1 if nowhere.
int64_t oracle_difference(const float *found, const float *wanted, int64_t count, double tolerance) {
    for (int64_t index = 0; index < count; index++) {
        if (!(fabs((double)found[index] - (double)wanted[index]) <= tolerance)) return index;
    }
    return -1;
}

double oracle_power(const float *values, int64_t count) {
    double sum = 0;
    for (int64_t index = 0; index < count; index++) sum += (double)values[index] * values[index];
    return count > 0 ? sum / (double)count : 0;
}

double oracle_distance(const float *found, const float *wanted, int64_t count) {
    double sum = 0;
    for (int64_t index = 0; index < count; index++) {
        double step = (double)found[index] - wanted[index];
        sum += step * step;
    }
    return count > 0 ? sqrt(sum / (double)count) : 0;
}

// MARK: - FLAC (RFC 9639)

uint16_t oracle_crc16(const uint8_t *bytes, size_t count) {
    uint16_t crc = 0;
    while (count-- > 0) {
        crc ^= (uint16_t)(*bytes++ << 8);
        for (int bit = 0; bit < 8; bit++) crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x8005 : crc << 1);
    }
    return crc;
}

typedef struct {
    const uint8_t *bytes;
    size_t count, at;
    uint64_t held;
    int heldBits;
    int failed;
} Bits;

static uint32_t take(Bits *bits, int count) {
    if (count == 0) return 0;
    while (bits->heldBits < count) {
        if (bits->at >= bits->count) bits->failed = 1;
        bits->held = bits->held << 8 | (bits->at < bits->count ? bits->bytes[bits->at] : 0);
        bits->at++;
        bits->heldBits += 8;
    }
    bits->heldBits -= count;
    return (uint32_t)(bits->held >> bits->heldBits & (count == 32 ? 0xFFFFFFFFu : (1u << count) - 1));
}

static int64_t takeSigned(Bits *bits, int count) {
    if (count == 0) return 0;
    int64_t value = count > 32 ? (int64_t)take(bits, count - 32) << 32 : 0;
    value |= take(bits, count > 32 ? 32 : count);
    int64_t sign = (int64_t)1 << (count - 1);
    return (value ^ sign) - sign;
}

static uint32_t takeUnary(Bits *bits) {
    uint32_t count = 0;
    while (!bits->failed && take(bits, 1) == 0) count++;
    return count;
}

static int residual(Bits *bits, int64_t *output, int order, int blockSize) {
    int method = (int)take(bits, 2), partitions = 1 << take(bits, 4);
    if (method > 1 || blockSize % partitions != 0) return -1;
    int width = method == 0 ? 4 : 5, at = order;
    for (int partition = 0; partition < partitions; partition++) {
        int count = blockSize / partitions - (partition == 0 ? order : 0);
        uint32_t parameter = take(bits, width);
        int raw = parameter == (1u << width) - 1 ? (int)take(bits, 5) : -1;
        if (count < 0) return -1;
        for (int index = 0; index < count && !bits->failed; index++) {
            if (raw >= 0) {
                output[at++] = takeSigned(bits, raw);
            } else {
                uint32_t high = takeUnary(bits);
                uint64_t folded = (uint64_t)high << parameter | take(bits, (int)parameter);
                output[at++] = (int64_t)(folded >> 1) ^ -(int64_t)(folded & 1);
            }
        }
    }
    return bits->failed ? -1 : 0;
}

static int subframe(Bits *bits, int64_t *output, int blockSize, int sampleBits) {
    static const int fixed[5][4] = {{0}, {1}, {2, -1}, {3, -3, 1}, {4, -6, 4, -1}};
    if (take(bits, 1) != 0) return -1;
    int type = (int)take(bits, 6), wasted = take(bits, 1) ? (int)takeUnary(bits) + 1 : 0;
    sampleBits -= wasted;
    if (sampleBits < 1) return -1;
    if (type == 0) {
        int64_t value = takeSigned(bits, sampleBits);
        for (int index = 0; index < blockSize; index++) output[index] = value;
    } else if (type == 1) {
        for (int index = 0; index < blockSize; index++) output[index] = takeSigned(bits, sampleBits);
    } else if ((type >= 8 && type <= 12) || type >= 32) {
        int order = type >= 32 ? type - 31 : type - 8, shift = 0;
        int64_t coefficients[32] = {0};
        if (order > blockSize) return -1;
        for (int index = 0; index < order; index++) output[index] = takeSigned(bits, sampleBits);
        if (type >= 32) {
            int precision = (int)take(bits, 4) + 1;
            shift = (int)takeSigned(bits, 5);
            if (precision == 16 || shift < 0) return -1;
            for (int index = 0; index < order; index++) coefficients[index] = takeSigned(bits, precision);
        } else {
            for (int index = 0; index < order; index++) coefficients[index] = fixed[order][index];
        }
        if (residual(bits, output, order, blockSize) != 0) return -1;
        for (int index = order; index < blockSize; index++) {
            int64_t sum = 0;
            for (int back = 0; back < order; back++) sum += coefficients[back] * output[index - 1 - back];
            output[index] += sum >> shift;
        }
    } else {
        return -1;
    }
    for (int index = 0; index < blockSize; index++) output[index] *= (int64_t)1 << wasted;
    return bits->failed ? -1 : 0;
}

// Decodes the frames after the metadata blocks into interleaved samples. Returns how many sample frames there are, at
// most `room`; negative when the file is damaged at the frame before.
int64_t oracle_flac_decode(
    const uint8_t *bytes, size_t count, int channels, int streamBits, int64_t room, int32_t *output) {
    static const int bitsByCode[] = {0, 8, 12, 0, 16, 20, 24, 32};
    int64_t done = 0;
    size_t start = 0;
    int64_t *values = malloc((size_t)channels * 65536 * sizeof *values);
    if (values == NULL) return -1;
    while (start < count) {
        Bits bits = {.bytes = bytes, .count = count, .at = start};
        int failed = take(&bits, 15) != 0x7FFC;
        take(&bits, 1);
        int sizeCode = (int)take(&bits, 4), rateCode = (int)take(&bits, 4), assignment = (int)take(&bits, 4);
        int sampleBits = bitsByCode[take(&bits, 3)];
        if (sampleBits == 0) sampleBits = streamBits;
        take(&bits, 1);
        for (uint32_t lead = take(&bits, 8), more = lead >= 0xC0 ? (lead >= 0xFE ? 6 : lead >= 0xFC ? 5 : lead >= 0xF8 ? 4 : lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1) : 0; more > 0; more--) take(&bits, 8);
        int blockSize = sizeCode == 1 ? 192 : sizeCode <= 5 ? 576 << (sizeCode - 2) : 256 << (sizeCode - 8);
        if (sizeCode == 6) blockSize = (int)take(&bits, 8) + 1;
        if (sizeCode == 7) blockSize = (int)take(&bits, 16) + 1;
        if (rateCode == 12) take(&bits, 8);
        if (rateCode == 13 || rateCode == 14) take(&bits, 16);
        take(&bits, 8);
        int isStereoPair = assignment >= 8 && assignment <= 10;
        failed |= sizeCode == 0 || (isStereoPair ? 2 : assignment + 1) != channels || done + blockSize > room;
        for (int channel = 0; channel < channels && !failed; channel++) {
            int isSide = (assignment == 8 && channel == 1) || (assignment == 9 && channel == 0)
                || (assignment == 10 && channel == 1);
            failed |= subframe(&bits, values + (size_t)channel * 65536, blockSize, sampleBits + isSide) != 0;
        }
        // The frame ends with a checksum at the next whole byte.
        size_t end = bits.at - (size_t)(bits.heldBits / 8);
        failed |= end + 2 > count || oracle_crc16(bytes + start, end - start) != (bytes[end] << 8 | bytes[end + 1]);
        if (failed) {
            free(values);
            return -1 - done;
        }
        for (int index = 0; index < blockSize; index++) {
            int64_t first = values[index], second = channels > 1 ? values[65536 + index] : 0;
            if (assignment == 8) second = first - second;
            if (assignment == 9) first = first + second;
            if (assignment == 10) {
                int64_t middle = first * 2 + (second & 1);
                first = (middle + second) / 2;
                second = (middle - second) / 2;
            }
            for (int channel = 0; channel < channels; channel++) {
                int64_t value = channel == 0 ? first : channel == 1 ? second : values[(size_t)channel * 65536 + index];
                output[(done + index) * channels + channel] = (int32_t)value;
            }
        }
        done += blockSize;
        start = end + 2;
    }
    free(values);
    return done;
}
