// What the standard library asks of a platform's runtime and the embedded one does not bring: reading a number.

#include <stdlib.h>

const char *_swift_stdlib_strtod_clocale(const char *text, double *result) {
    char *end;
    *result = strtod(text, &end);
    return end == text ? NULL : end;
}
