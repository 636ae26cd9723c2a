// libsndfile decodes MP3 with libmpg123, which writes what it thinks of a damaged file to standard error, past the log and its
// format. Its handle has a flag against that (MPG123_QUIET), but libsndfile neither sets it nor hands the handle out. So the program
// defines the function that makes handles: the dynamic linker finds it before the library's own, which it calls. Nobody else in this
// process uses libmpg123.
#if defined(__linux__)
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

// mpg123.h, whose values are part of the library's ABI: `mpg123_parms`, `mpg123_param_flags` and `mpg123_errors`.
enum { parameter_add_flags = 2, flag_quiet = 0x20, error_out_of_memory = 7 };

typedef void *make_handle(const char *decoder, int *error);
typedef int set_parameter(void *handle, int parameter, long value, double fraction);

__attribute__((visibility("default"))) void *mpg123_new(const char *decoder, int *error) {
    make_handle *original = (make_handle *)dlsym(RTLD_NEXT, "mpg123_new");
    if (original == NULL) {
        if (error != NULL) *error = error_out_of_memory;
        return NULL;
    }
    void *handle = original(decoder, error);
    set_parameter *set = (set_parameter *)dlsym(RTLD_DEFAULT, "mpg123_param");
    if (handle != NULL && set != NULL) set(handle, parameter_add_flags, flag_quiet, 0);
    return handle;
}
#endif
