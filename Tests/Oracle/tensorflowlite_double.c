// A double of the TensorFlow Lite C library for the byte oracle: it scores nothing, it records what it is given.
//
// Each window that is run is appended to the file named by ORACLE_WINDOWS: a head of 16 bytes (the hash of the samples,
// the species that was answered, the number of samples), then the samples. The answer names one species with a high
// score; which one follows from the hash, so that each stored detection tells which window it was made from.
// The number of species is in ORACLE_SPECIES.

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "window_hash.h"

enum { windowSamples = 144000, float32 = 1 };

typedef struct {
    float *values;
    size_t count;
} Tensor;

typedef struct {
    Tensor input, output;
} Interpreter;

static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;
static int windows = -1;

static size_t speciesCount(void) {
    const char *text = getenv("ORACLE_SPECIES");
    return text != NULL ? strtoul(text, NULL, 10) : 1;
}

static bool writeAll(const void *bytes, size_t count) {
    const char *next = bytes;
    while (count > 0) {
        ssize_t written = write(windows, next, count);
        if (written <= 0) return false;
        next += written;
        count -= (size_t)written;
    }
    return true;
}

static bool keep(const Interpreter *interpreter, uint64_t hash, uint32_t species) {
    struct { uint64_t hash; uint32_t species, samples; } head = {hash, species, windowSamples};
    pthread_mutex_lock(&writing);
    if (windows < 0) {
        const char *path = getenv("ORACLE_WINDOWS");
        windows = path != NULL ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
    }
    bool kept = windows >= 0 && writeAll(&head, sizeof head)
        && writeAll(interpreter->input.values, windowSamples * sizeof(float));
    pthread_mutex_unlock(&writing);
    return kept;
}

const char *TfLiteVersion(void) { return "2.17.1"; }

// Models, options and delegates have no content: an address that is not null is all that is asked of them.
static char model, options, delegate, cache;
void *TfLiteModelCreateFromFile(const char *path) { return access(path, R_OK) == 0 ? &model : NULL; }
void TfLiteModelDelete(void *object) { (void)object; }
void *TfLiteInterpreterOptionsCreate(void) { return &options; }
void TfLiteInterpreterOptionsDelete(void *object) { (void)object; }
void TfLiteInterpreterOptionsSetNumThreads(void *object, int32_t count) { (void)object, (void)count; }
void TfLiteInterpreterOptionsAddDelegate(void *object, void *added) { (void)object, (void)added; }
void TfLiteInterpreterOptionsSetErrorReporter(void *object, void *reporter, void *user) {
    (void)object, (void)reporter, (void)user;
}
void *TfLiteXNNPackDelegateCreate(const void *object) { (void)object; return &delegate; }
void TfLiteXNNPackDelegateDelete(void *object) { (void)object; }
void *TfLiteXNNPackDelegateWeightsCacheCreate(void) { return &cache; }
bool TfLiteXNNPackDelegateWeightsCacheFinalizeSoft(void *object) { (void)object; return true; }
bool TfLiteXNNPackDelegateWeightsCacheFinalizeHard(void *object) { (void)object; return true; }
void TfLiteXNNPackDelegateWeightsCacheDelete(void *object) { (void)object; }

void *TfLiteInterpreterCreate(const void *ofModel, const void *withOptions) {
    (void)ofModel, (void)withOptions;
    Interpreter *made = calloc(1, sizeof *made);
    if (made == NULL) return NULL;
    made->input = (Tensor){calloc(windowSamples, sizeof(float)), windowSamples};
    made->output = (Tensor){calloc(speciesCount(), sizeof(float)), speciesCount()};
    return made;
}

void TfLiteInterpreterDelete(Interpreter *interpreter) {
    free(interpreter->input.values);
    free(interpreter->output.values);
    free(interpreter);
}

int TfLiteInterpreterAllocateTensors(Interpreter *interpreter) {
    return interpreter->input.values != NULL && interpreter->output.values != NULL ? 0 : 1;
}

int TfLiteInterpreterInvoke(Interpreter *interpreter) {
    uint64_t hash = windowHash(interpreter->input.values, windowSamples * sizeof(float));
    uint32_t species = (uint32_t)(hash % interpreter->output.count);
    for (size_t index = 0; index < interpreter->output.count; index++) interpreter->output.values[index] = -20;
    interpreter->output.values[species] = 10;
    return keep(interpreter, hash, species) ? 0 : 1;
}

int32_t TfLiteInterpreterGetInputTensorCount(const void *interpreter) { (void)interpreter; return 1; }
int32_t TfLiteInterpreterGetOutputTensorCount(const void *interpreter) { (void)interpreter; return 1; }
void *TfLiteInterpreterGetInputTensor(Interpreter *interpreter, int32_t index) {
    return index == 0 ? &interpreter->input : NULL;
}
const void *TfLiteInterpreterGetOutputTensor(const Interpreter *interpreter, int32_t index) {
    return index == 0 ? &interpreter->output : NULL;
}
int TfLiteTensorType(const void *tensor) { (void)tensor; return float32; }
int32_t TfLiteTensorNumDims(const void *tensor) { (void)tensor; return 2; }
int32_t TfLiteTensorDim(const Tensor *tensor, int32_t index) { return index == 0 ? 1 : (int32_t)tensor->count; }
size_t TfLiteTensorByteSize(const Tensor *tensor) { return tensor->count * sizeof(float); }
void *TfLiteTensorData(const Tensor *tensor) { return tensor->values; }
