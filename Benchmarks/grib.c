/* grib make U.grib2 OUT       packs a global field of a quarter of a degree as NCEP does (g2c, template 5.3, order 2), out of
 *                             a coarse real one, with noise, so that a value has about as many bits as a real one
 * grib decode FILE COUNT      decodes the messages of a file so many times with ecCodes; prints milliseconds a time
 */
#include <eccodes.h>
#include <grib2.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { COLUMNS = 1440, ROWS = 721, POINTS = COLUMNS * ROWS };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static unsigned char *read_file(const char *path, size_t *count) {
    FILE *file = fopen(path, "rb");
    if (!file) { perror(path); exit(66); }
    fseek(file, 0, SEEK_END);
    *count = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*count);
    if (fread(bytes, 1, *count, file) != *count) exit(74);
    fclose(file);
    return bytes;
}

static double *values_of(const unsigned char *bytes, size_t count, size_t *number) {
    codes_handle *handle = codes_handle_new_from_message(NULL, bytes, count);
    if (!handle || codes_get_size(handle, "values", number)) exit(65);
    double *values = malloc(*number * sizeof *values);
    if (codes_get_double_array(handle, "values", values, number)) exit(65);
    codes_handle_delete(handle);
    return values;
}

static int make(const char *from, const char *to) {
    size_t count, number;
    unsigned char *bytes = read_file(from, &count);
    double *coarse = values_of(bytes, count, &number);
    if (number != 144 * 73) { fprintf(stderr, "%s has not 2.5 degrees\n", from); return 65; }
    float *field = malloc(POINTS * sizeof *field);
    unsigned int seed = 1;
    for (int row = 0; row < ROWS; row++)
        for (int column = 0; column < COLUMNS; column++) {
            double y = row / 10.0, x = column / 10.0;
            int y0 = (int)y < 72 ? (int)y : 71, x0 = (int)x;
            double dy = y - y0, dx = x - x0;
            double v = (1 - dy) * ((1 - dx) * coarse[y0 * 144 + x0] + dx * coarse[y0 * 144 + (x0 + 1) % 144])
                     + dy * ((1 - dx) * coarse[(y0 + 1) * 144 + x0] + dx * coarse[(y0 + 1) * 144 + (x0 + 1) % 144]);
            seed = seed * 1103515245u + 12345u;
            field[row * COLUMNS + column] = (float)(v + 0.28 * sin(x * 7) * sin(y * 5) + 0.2 * ((seed >> 16) % 1000) / 1000.0);
        }
    unsigned char *out = malloc(8 * POINTS);
    g2int section0[2] = {0, 2}, section1[13] = {7, 0, 2, 1, 1, 2026, 11, 21, 0, 0, 0, 0, 1};
    g2int grid[5] = {0, POINTS, 0, 0, 0};
    g2int grid_template[19] = {6, 0, 0, 0, 0, 0, 0, COLUMNS, ROWS, 0, -1, 90000000, 0, 48, -90000000, 359750000, 250000, 250000, 0};
    g2int product[15] = {2, 2, 2, 0, 96, 0, 0, 1, 3, 103, 0, 10, 255, 0, 0};
    int is_v = strstr(to, "v.grib2") != NULL;
    product[1] = is_v ? 3 : 2;
    g2int packing[18] = {0, 0, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0};
    if (g2_create(out, section0, section1) < 0 || g2_addgrid(out, grid, grid_template, NULL, 0) < 0
        || g2_addfield(out, 0, product, NULL, 0, 3, packing, field, POINTS, 255, NULL) < 0) return 70;
    g2int size = g2_gribend(out);
    FILE *file = fopen(to, "wb");
    if (!file || size <= 0 || fwrite(out, 1, (size_t)size, file) != (size_t)size || fclose(file)) return 74;
    printf("%ld\n", (long)size);
    return 0;
}

static int decode(const char *path, int times) {
    size_t count, number;
    unsigned char *bytes = read_file(path, &count);
    double sum = 0, begun = now();
    for (int time = 0; time < times; time++) {
        double *values = values_of(bytes, count, &number);
        sum += values[number - 1];
        free(values);
    }
    printf("%f %f\n", (now() - begun) / times, sum / times);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && !strcmp(argv[1], "make")) return make(argv[2], argv[3]);
    if (argc == 4 && !strcmp(argv[1], "decode")) return decode(argv[2], atoi(argv[3]));
    fprintf(stderr, "usage: grib make COARSE OUT | grib decode FILE COUNT\n");
    return 64;
}
