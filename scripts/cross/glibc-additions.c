// Functions of glibc 2.38 that the Swift runtime of Debian sid calls and glibc 2.36 of Debian bookworm lacks. sysroot.sh compiles them into
// the archive of the runtime. The __isoc23 functions read numbers as C23 does, which differs from C11 only for the prefix 0b: the
// runtime gives them none.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

long __isoc23_strtol(const char *text, char **end, int base) { return strtol(text, end, base); }
unsigned long __isoc23_strtoul(const char *text, char **end, int base) { return strtoul(text, end, base); }
long long __isoc23_strtoll(const char *text, char **end, int base) { return strtoll(text, end, base); }
unsigned long long __isoc23_strtoull(const char *text, char **end, int base) { return strtoull(text, end, base); }

int __isoc23_sscanf(const char *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int count = vsscanf(text, format, arguments);
    va_end(arguments);
    return count;
}

// strlcpy(3): copies at most size - 1 bytes, ends the copy with a zero byte, returns the length of the source.
size_t strlcpy(char *to, const char *from, size_t size) {
    size_t length = strlen(from);
    if (size > 0) {
        size_t count = length < size ? length : size - 1;
        memcpy(to, from, count);
        to[count] = 0;
    }
    return length;
}

// strlcat(3): the same, behind what is there; returns the length that it tried to make.
size_t strlcat(char *to, const char *from, size_t size) {
    size_t used = strnlen(to, size);
    if (used == size) {
        return size + strlen(from);
    }
    return used + strlcpy(to + used, from, size - used);
}
