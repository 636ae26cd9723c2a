// The part of the TensorFlow Lite C interface (2.17) that runs a model, declared here because the library comes
// without headers, and loaded at run time, so that the program builds and starts where the library is missing.
#pragma once

#include <stdint.h>
#include <stddef.h>
#include <stdbool.h>

typedef struct TfLiteModel TfLiteModel;
typedef struct TfLiteInterpreterOptions TfLiteInterpreterOptions;
typedef struct TfLiteInterpreter TfLiteInterpreter;
typedef struct TfLiteTensor TfLiteTensor;
typedef struct TfLiteDelegate TfLiteDelegate;
typedef struct TfLiteXNNPackDelegateWeightsCache TfLiteXNNPackDelegateWeightsCache;

/// Layout of version 2.17.1, 32 bytes (later versions differ), with room behind it.
typedef struct {
    int32_t num_threads;
    uint32_t flags;
    TfLiteXNNPackDelegateWeightsCache *weights_cache;
    bool handle_variable_ops;
    const char *weight_cache_file_path;
    uint64_t reserved[12];
} EdgeXNNPackOptions;

enum { EdgeTfLiteOk = 0, EdgeTfLiteFloat32 = 1 };

/// The functions of one loaded library.
typedef struct {
    void *handle;
    const char *(*version)(void);
    TfLiteModel *(*model_create_from_file)(const char *path);
    void (*model_delete)(TfLiteModel *);
    TfLiteInterpreterOptions *(*options_create)(void);
    void (*options_delete)(TfLiteInterpreterOptions *);
    void (*options_set_num_threads)(TfLiteInterpreterOptions *, int32_t);
    void (*options_add_delegate)(TfLiteInterpreterOptions *, TfLiteDelegate *);
    void (*options_set_error_reporter)(TfLiteInterpreterOptions *, void *reporter, void *user_data);
    TfLiteInterpreter *(*interpreter_create)(const TfLiteModel *, const TfLiteInterpreterOptions *);
    void (*interpreter_delete)(TfLiteInterpreter *);
    int (*allocate_tensors)(TfLiteInterpreter *);
    int (*invoke)(TfLiteInterpreter *);
    int32_t (*input_count)(const TfLiteInterpreter *);
    int32_t (*output_count)(const TfLiteInterpreter *);
    TfLiteTensor *(*input)(const TfLiteInterpreter *, int32_t);
    const TfLiteTensor *(*output)(const TfLiteInterpreter *, int32_t);
    int (*tensor_type)(const TfLiteTensor *);
    int32_t (*tensor_num_dims)(const TfLiteTensor *);
    int32_t (*tensor_dim)(const TfLiteTensor *, int32_t);
    size_t (*tensor_byte_size)(const TfLiteTensor *);
    void *(*tensor_data)(const TfLiteTensor *);
    TfLiteDelegate *(*xnnpack_create)(const EdgeXNNPackOptions *options);
    void (*xnnpack_delete)(TfLiteDelegate *);
    TfLiteXNNPackDelegateWeightsCache *(*weights_cache_create)(void);
    bool (*weights_cache_finalize_soft)(TfLiteXNNPackDelegateWeightsCache *);
    bool (*weights_cache_finalize_hard)(TfLiteXNNPackDelegateWeightsCache *);
    void (*weights_cache_delete)(TfLiteXNNPackDelegateWeightsCache *);
} EdgeTensorFlowLite;

/// Loads the library and looks up every function. Returns 0, or -1 with a message in `error`.
///
/// Memory: the caller owns all arguments until the return. The library stays loaded, so the functions in `table` stay valid.
int edge_tflite_load(const char *path, EdgeTensorFlowLite *table, char *error, size_t error_size);

/// Fills in the options that the loaded library thinks best: 32 bytes of them are known.
///
/// Memory: the caller owns both until the return. `weights_cache` is borrowed by the delegate that is created with the options,
/// and must outlive it; the library's default of `weight_cache_file_path` is NULL.
void edge_tflite_default_options(const EdgeTensorFlowLite *table, EdgeXNNPackOptions *options);

/// Makes the library silent: its messages are kept in `buffer` (last one wins) instead of on standard error.
///
/// Memory: the caller owns `message`. Interpreters made with these options keep its address and write to it, so it must outlive them.
typedef struct {
    char text[256];
} EdgeTfLiteMessage;
void edge_tflite_set_message_buffer(
    const EdgeTensorFlowLite *table, TfLiteInterpreterOptions *options, EdgeTfLiteMessage *message);

/// Gives the resident pages of a mapped file back to the kernel, which reads them again if they are used. The packed
/// weights are what is used; the model file's own copy of them need not stay in memory. Linux only; elsewhere nothing.
///
/// Memory: nobody may unmap this file at the same time: the addresses could belong to another mapping when they are used.
void edge_tflite_drop_mapped_pages(const char *path);
