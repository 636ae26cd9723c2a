#pragma once

#include <curl/curl.h>

// curl's setters take any number of arguments, which Swift cannot call: one wrapper for each type of argument.
//
// Memory: curl copies texts (CURLOPTTYPE_STRINGPOINT), except for CURLOPT_POSTFIELDS. It keeps the addresses of lists, of pointers
// (CURLOPT_WRITEDATA, CURLOPT_READDATA, CURLOPT_PRIVATE, CURLOPT_ERRORBUFFER) and of functions; the caller owns what they point to,
// until the handle is reset or cleaned up.

static inline CURLcode edge_curl_set_long(CURL *handle, CURLoption option, long value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode edge_curl_set_offset(CURL *handle, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode edge_curl_set_text(CURL *handle, CURLoption option, const char *value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode edge_curl_set_pointer(CURL *handle, CURLoption option, void *value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode edge_curl_set_list(CURL *handle, CURLoption option, struct curl_slist *value) {
    return curl_easy_setopt(handle, option, value);
}

typedef size_t (*edge_curl_bytes_function)(char *bytes, size_t size, size_t count, void *context);
typedef int (*edge_curl_seek_function)(void *context, curl_off_t offset, int origin);

static inline CURLcode edge_curl_set_bytes_function(CURL *handle, CURLoption option, edge_curl_bytes_function function) {
    return curl_easy_setopt(handle, option, function);
}
static inline CURLcode edge_curl_set_seek_function(CURL *handle, edge_curl_seek_function function) {
    return curl_easy_setopt(handle, CURLOPT_SEEKFUNCTION, function);
}
static inline long edge_curl_response_code(CURL *handle) {
    long code = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &code);
    return code;
}
static inline void *edge_curl_private(CURL *handle) {
    char *context = NULL;
    curl_easy_getinfo(handle, CURLINFO_PRIVATE, &context);
    return context;
}
static inline CURLMcode edge_curl_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}
