// Runs the BirdNET model through the bare TensorFlow Lite C interface, with nothing of this project's: the reference
// that scores and speed are held against.
//
//   birdnet-reference LIBRARY MODEL score IN OUT     IN: windows of 144,000 float32; OUT: 6,522 float32 for each
//   birdnet-reference LIBRARY MODEL bench N LOOPS [EVERY_MS]
//                                                    N runs in each of LOOPS threads, one every so often; prints JSON

#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { window_samples = 144000 };

static void *library;

static void *need(const char *name) {
    void *function = dlsym(library, name);
    if (function == NULL) {
        fprintf(stderr, "no %s\n", name);
        exit(1);
    }
    return function;
}

#define CALL(result, name, ...) ((result(*)(__VA_ARGS__))need(name))

typedef struct {
    void *interpreter;
} Runner;

static Runner make(void *model) {
    void *options = CALL(void *, "TfLiteInterpreterOptionsCreate", void)();
    CALL(void, "TfLiteInterpreterOptionsSetNumThreads", void *, int32_t)(options, 1);
    void *delegate = CALL(void *, "TfLiteXNNPackDelegateCreate", const void *)(NULL);
    CALL(void, "TfLiteInterpreterOptionsAddDelegate", void *, void *)(options, delegate);
    Runner runner = {CALL(void *, "TfLiteInterpreterCreate", const void *, const void *)(model, options)};
    if (runner.interpreter == NULL || CALL(int, "TfLiteInterpreterAllocateTensors", void *)(runner.interpreter) != 0) {
        fprintf(stderr, "no interpreter\n");
        exit(1);
    }
    return runner;
}

static void run(Runner runner, const float *window, float *scores, size_t score_bytes) {
    void *input = CALL(void *, "TfLiteInterpreterGetInputTensor", const void *, int32_t)(runner.interpreter, 0);
    int status = CALL(int, "TfLiteTensorCopyFromBuffer", void *, const void *, size_t)(
        input, window, window_samples * sizeof(float));
    status |= CALL(int, "TfLiteInterpreterInvoke", void *)(runner.interpreter);
    const void *output = CALL(const void *, "TfLiteInterpreterGetOutputTensor", const void *, int32_t)(runner.interpreter, 0);
    status |= CALL(int, "TfLiteTensorCopyToBuffer", const void *, void *, size_t)(output, scores, score_bytes);
    if (status != 0) {
        fprintf(stderr, "the model could not be run\n");
        exit(1);
    }
}

static size_t score_bytes(Runner runner) {
    const void *output = CALL(const void *, "TfLiteInterpreterGetOutputTensor", const void *, int32_t)(runner.interpreter, 0);
    return CALL(size_t, "TfLiteTensorByteSize", const void *)(output);
}

static int score(void *model, const char *in, const char *out) {
    Runner runner = make(model);
    FILE *input = fopen(in, "rb");
    FILE *output = fopen(out, "wb");
    if (input == NULL || output == NULL) return 1;
    size_t bytes = score_bytes(runner);
    float *window = malloc(window_samples * sizeof(float));
    float *scores = malloc(bytes);
    while (fread(window, sizeof(float), window_samples, input) == window_samples) {
        run(runner, window, scores, bytes);
        if (fwrite(scores, 1, bytes, output) != bytes) return 1;
    }
    fclose(input);
    return fclose(output);
}

typedef struct {
    void *model;
    int count;
    int every_ms;
    pthread_barrier_t *barrier;
} Loop;

static void *loop(void *argument) {
    Loop *self = argument;
    // One after the other: the library is not known to build interpreters of one model in several threads at once.
    static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&making);
    Runner runner = make(self->model);
    pthread_mutex_unlock(&making);
    size_t bytes = score_bytes(runner);
    float *window = malloc(window_samples * sizeof(float));
    float *scores = malloc(bytes);
    uint32_t state = 1;
    for (int i = 0; i < window_samples; i++) {
        state = state * 1664525u + 1013904223u;
        window[i] = ((float)(state >> 8) / 8388608.0f - 1.0f) * 0.1f;
    }
    run(runner, window, scores, bytes);
    pthread_barrier_wait(self->barrier);
    pthread_barrier_wait(self->barrier);
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (int i = 0; i < self->count; i++) {
        run(runner, window, scores, bytes);
        if (self->every_ms == 0) continue;
        due.tv_nsec += self->every_ms * 1000000L;
        due.tv_sec += due.tv_nsec / 1000000000L;
        due.tv_nsec %= 1000000000L;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    }
    pthread_barrier_wait(self->barrier);
    return NULL;
}

static double seconds(struct timeval time) { return (double)time.tv_sec + (double)time.tv_usec / 1e6; }

static int bench(void *model, int count, int loops, int every_ms) {
    if (loops < 1 || loops > 64) return 64;
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, (unsigned)loops + 1);
    Loop self = {model, count, every_ms, &barrier};
    pthread_t threads[64];
    for (int i = 0; i < loops; i++) pthread_create(&threads[i], NULL, loop, &self);
    pthread_barrier_wait(&barrier);
    struct rusage before, after;
    struct timespec started, ended;
    getrusage(RUSAGE_SELF, &before);
    clock_gettime(CLOCK_MONOTONIC, &started);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    getrusage(RUSAGE_SELF, &after);
    // The threads end before the process does, which takes the library down.
    for (int i = 0; i < loops; i++) pthread_join(threads[i], NULL);
    double wall = (double)(ended.tv_sec - started.tv_sec) + (double)(ended.tv_nsec - started.tv_nsec) / 1e9;
    double cpu = seconds(after.ru_utime) + seconds(after.ru_stime) - seconds(before.ru_utime) - seconds(before.ru_stime);
    printf("{\"runs\":%d,\"wall_seconds\":%.6f,\"cpu_seconds\":%.6f}\n", count * loops, wall, cpu);
    return 0;
}

int main(int count, char **arguments) {
    if (count != 6 && count != 7) {
        fprintf(stderr, "usage: birdnet-reference LIBRARY MODEL score IN OUT | LIBRARY MODEL bench N LOOPS [EVERY_MS]\n");
        return 64;
    }
    library = dlopen(arguments[1], RTLD_NOW);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    void *model = CALL(void *, "TfLiteModelCreateFromFile", const char *)(arguments[2]);
    if (model == NULL) return 1;
    if (strcmp(arguments[3], "score") == 0) return score(model, arguments[4], arguments[5]);
    return bench(model, atoi(arguments[4]), atoi(arguments[5]), count == 7 ? atoi(arguments[6]) : 0);
}
