#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

// libssl's macros and callbacks, which Swift cannot import. Nothing here keeps a pointer.

// Chooses HTTP/1.1 if the client offers it; without an overlap the connection goes on without a protocol (RFC 7301).
static inline int edge_tls_choose_http1(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *in,
                                        unsigned int in_length, void *argument) {
    static const unsigned char offered[] = "\x08http/1.1";
    unsigned char *chosen = NULL;
    (void)ssl;
    (void)argument;
    if (SSL_select_next_proto(&chosen, out_length, offered, sizeof offered - 1, in, in_length) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

// Refuses to ask for the passphrase of an encrypted key, which libssl would do on the terminal.
static inline int edge_tls_no_passphrase(char *buffer, int size, int is_for_writing, void *argument) {
    (void)buffer;
    (void)size;
    (void)is_for_writing;
    (void)argument;
    return 0;
}

// A server's context: TLS 1.2 and newer, no renegotiation, no session cache, buffers only while they are used. NULL if there is no memory.
static inline SSL_CTX *edge_tls_server_context(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL) {
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    // Clients resume with tickets, which need no memory here.
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    // TLS 1.3 would send tickets after its handshake. A client that sends and closes without reading answers them with a reset, for which
    // the kernel discards what it has received from it.
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_alpn_select_cb(context, edge_tls_choose_http1, NULL);
    SSL_CTX_set_default_passwd_cb(context, edge_tls_no_passphrase);
    return context;
}

// A server's connection in memory. The connection owns both buffers. NULL if there is no memory.
static inline SSL *edge_tls_server_connection(SSL_CTX *context, BIO **input, BIO **output) {
    SSL *ssl = SSL_new(context);
    *input = BIO_new(BIO_s_mem());
    *output = BIO_new(BIO_s_mem());
    if (ssl == NULL || *input == NULL || *output == NULL) {
        BIO_free(*input);
        BIO_free(*output);
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_bio(ssl, *input, *output);
    SSL_set_accept_state(ssl);
    return ssl;
}

static inline size_t edge_tls_pending(BIO *bio) { return BIO_ctrl_pending(bio); }
