/*
 * load_tls_missing.c - stands in for load_tls.c where OpenSSL was not there at build time
 */
#include "load.h"

#include <errno.h>

const char *load_tls_start(void)
{
    return "bench-load was built without OpenSSL";
}

void load_tls_stop(void)
{
}

const char *load_tls_error(void)
{
    return load_tls_start();
}

int load_tls_open(struct connection *connection)
{
    return -ENOSYS;
}

void load_tls_close(struct connection *connection)
{
}

int load_tls_handshake(struct connection *connection, bool *ret_write)
{
    return -ENOSYS;
}

ssize_t load_tls_send(struct connection *connection, const struct iovec *pieces, size_t n_pieces)
{
    return -ENOSYS;
}

ssize_t load_tls_receive(struct connection *connection, unsigned char *buffer, size_t room)
{
    return -ENOSYS;
}
