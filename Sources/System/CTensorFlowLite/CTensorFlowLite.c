#define _GNU_SOURCE
#include "CTensorFlowLite.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static int look_up(void *handle, const char *name, void **function, char *error, size_t error_size) {
    *function = dlsym(handle, name);
    if (*function != NULL) return 0;
    snprintf(error, error_size, "the library has no function %s", name);
    return -1;
}

int edge_tflite_load(const char *path, EdgeTensorFlowLite *table, char *error, size_t error_size) {
    memset(table, 0, sizeof *table);
    table->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (table->handle == NULL) {
        const char *reason = dlerror();
        snprintf(error, error_size, "%s", reason != NULL ? reason : "unknown reason");
        return -1;
    }
    const struct {
        const char *name;
        void *slot;
    } functions[] = {
        {"TfLiteVersion", &table->version},
        {"TfLiteModelCreateFromFile", &table->model_create_from_file},
        {"TfLiteModelDelete", &table->model_delete},
        {"TfLiteInterpreterOptionsCreate", &table->options_create},
        {"TfLiteInterpreterOptionsDelete", &table->options_delete},
        {"TfLiteInterpreterOptionsSetNumThreads", &table->options_set_num_threads},
        {"TfLiteInterpreterOptionsAddDelegate", &table->options_add_delegate},
        {"TfLiteInterpreterOptionsSetErrorReporter", &table->options_set_error_reporter},
        {"TfLiteInterpreterCreate", &table->interpreter_create},
        {"TfLiteInterpreterDelete", &table->interpreter_delete},
        {"TfLiteInterpreterAllocateTensors", &table->allocate_tensors},
        {"TfLiteInterpreterInvoke", &table->invoke},
        {"TfLiteInterpreterGetInputTensorCount", &table->input_count},
        {"TfLiteInterpreterGetOutputTensorCount", &table->output_count},
        {"TfLiteInterpreterGetInputTensor", &table->input},
        {"TfLiteInterpreterGetOutputTensor", &table->output},
        {"TfLiteTensorType", &table->tensor_type},
        {"TfLiteTensorNumDims", &table->tensor_num_dims},
        {"TfLiteTensorDim", &table->tensor_dim},
        {"TfLiteTensorByteSize", &table->tensor_byte_size},
        {"TfLiteTensorData", &table->tensor_data},
        {"TfLiteXNNPackDelegateCreate", &table->xnnpack_create},
        {"TfLiteXNNPackDelegateDelete", &table->xnnpack_delete},
        {"TfLiteXNNPackDelegateWeightsCacheCreate", &table->weights_cache_create},
        {"TfLiteXNNPackDelegateWeightsCacheFinalizeSoft", &table->weights_cache_finalize_soft},
        {"TfLiteXNNPackDelegateWeightsCacheFinalizeHard", &table->weights_cache_finalize_hard},
        {"TfLiteXNNPackDelegateWeightsCacheDelete", &table->weights_cache_delete},
    };
    for (size_t index = 0; index < sizeof functions / sizeof functions[0]; index++) {
        void *function = NULL;
        if (look_up(table->handle, functions[index].name, &function, error, error_size) != 0) {
            dlclose(table->handle);
            table->handle = NULL;
            return -1;
        }
        // A pointer to a function and a pointer to data have one size on every POSIX system (dlsym(3)).
        memcpy(functions[index].slot, &function, sizeof function);
    }
    return 0;
}

void edge_tflite_default_options(const EdgeTensorFlowLite *table, EdgeXNNPackOptions *options) {
    memset(options, 0, sizeof *options);
    // TfLiteXNNPackDelegateOptionsDefault returns a struct by value, whose size belongs to the library's version; the
    // compiler passes one of more than 16 bytes through a hidden pointer, for which the reserved room is enough.
    EdgeXNNPackOptions (*make)(void) = NULL;
    void *function = dlsym(table->handle, "TfLiteXNNPackDelegateOptionsDefault");
    if (function == NULL) return;
    memcpy(&make, &function, sizeof function);
    *options = make();
}

static int keep_message(void *user_data, const char *format, va_list arguments) {
    EdgeTfLiteMessage *message = user_data;
    return vsnprintf(message->text, sizeof message->text, format, arguments);
}

void edge_tflite_set_message_buffer(
    const EdgeTensorFlowLite *table, TfLiteInterpreterOptions *options, EdgeTfLiteMessage *message) {
    table->options_set_error_reporter(options, (void *)keep_message, message);
}

void edge_tflite_drop_mapped_pages(const char *path) {
#ifdef __linux__
    char *resolved = realpath(path, NULL);
    FILE *maps = resolved != NULL ? fopen("/proc/self/maps", "r") : NULL;
    char *line = NULL;
    size_t room = 0;
    while (maps != NULL && getline(&line, &room, maps) > 0) {
        unsigned long from = 0, to = 0;
        char permissions[5] = "";
        int name = 0;
        if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %n", &from, &to, permissions, &name) < 3 || name == 0) continue;
        line[strcspn(line, "\n")] = 0;
        // Only what is mapped from the file and not written to can be read again from it.
        if (strcmp(line + name, resolved) == 0 && permissions[1] != 'w') {
            (void)madvise((void *)from, to - from, MADV_DONTNEED);
        }
    }
    free(line);
    if (maps != NULL) fclose(maps);
    free(resolved);
#else
    (void)path;
#endif
}
