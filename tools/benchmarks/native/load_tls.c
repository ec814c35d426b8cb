/*
 * load_tls.c - TLS on a connection of the load generator, by OpenSSL
 *
 * The server's certificate is made for the run and signed by nobody: it is not checked. The pieces
 * of a message are gathered before they are encrypted, so that what is one write without TLS is one
 * record with it.
 */
#include "load.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#define RECORD_BYTES 16384u

static SSL_CTX *context;

const char *load_tls_start(void)
{
    context = SSL_CTX_new(TLS_client_method());
    if (!context)
        return load_tls_error();
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1);
    return NULL;
}

void load_tls_stop(void)
{
    SSL_CTX_free(context);
    context = NULL;
}

const char *load_tls_error(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason ? reason : "the connection broke";
}

int load_tls_open(struct connection *connection)
{
    SSL *tls = SSL_new(context);

    if (!tls || !SSL_set_fd(tls, connection->fd)) {
        SSL_free(tls);
        return -ENOMEM;
    }
    SSL_set_connect_state(tls);
    connection->tls = tls;
    return 0;
}

void load_tls_close(struct connection *connection)
{
    (void)SSL_shutdown(connection->tls); /* says goodbye and waits for no answer */
    SSL_free(connection->tls);
    connection->tls = NULL;
    ERR_clear_error();
}

int load_tls_handshake(struct connection *connection, bool *ret_write)
{
    int status, error;

    ERR_clear_error();
    status = SSL_do_handshake(connection->tls);
    if (status == 1)
        return 0;
    error = SSL_get_error(connection->tls, status);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        return -EPROTO;
    *ret_write = error == SSL_ERROR_WANT_WRITE;
    return -EAGAIN;
}

/* Copies what lies at @offset of the pieces, as much as one record takes. */
static size_t stage(unsigned char *record, const struct iovec *pieces, size_t n_pieces,
                    size_t offset)
{
    size_t length = 0;

    for (size_t i = 0; i < n_pieces && length < RECORD_BYTES; i++) {
        size_t part = pieces[i].iov_len;

        if (offset >= part) {
            offset -= part;
            continue;
        }
        part -= offset;
        if (part > RECORD_BYTES - length)
            part = RECORD_BYTES - length;
        memcpy(record + length, (const unsigned char *)pieces[i].iov_base + offset, part);
        length += part;
        offset = 0;
    }
    return length;
}

/* A write that has to wait is repeated later with the same bytes, as OpenSSL demands: what is to
 * be sent next is always made anew from the place in the stream of requests. */
ssize_t load_tls_send(struct connection *connection, const struct iovec *pieces, size_t n_pieces)
{
    static unsigned char record[RECORD_BYTES];
    size_t sent = 0;

    for (;;) {
        size_t length = stage(record, pieces, n_pieces, sent), taken = 0;
        int error;

        if (!length)
            return (ssize_t)sent;
        ERR_clear_error();
        if (SSL_write_ex(connection->tls, record, length, &taken)) {
            sent += taken;
            continue;
        }
        error = SSL_get_error(connection->tls, 0);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
            return -EPROTO;
        return sent ? (ssize_t)sent : -EAGAIN;
    }
}

/* Empties the socket: what OpenSSL has read ahead is not seen by epoll. */
ssize_t load_tls_receive(struct connection *connection, unsigned char *buffer, size_t room)
{
    size_t got = 0;

    while (room - got >= RECORD_BYTES || (got < room && SSL_has_pending(connection->tls))) {
        size_t part = 0;
        int error;

        ERR_clear_error();
        if (SSL_read_ex(connection->tls, buffer + got, room - got, &part)) {
            got += part;
            continue;
        }
        error = SSL_get_error(connection->tls, 0);
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
            return got ? (ssize_t)got : -EAGAIN;
        if (got || error == SSL_ERROR_ZERO_RETURN)
            return (ssize_t)got;
        return -EPROTO;
    }
    return (ssize_t)got;
}
