/*
 * load_open.c - one connection of the load generator: made, connected, closed, made anew
 *
 * A connection is connecting, then (with TLS) in its handshake, then open. A thousand connects a
 * second to one port use up the local ports of one address, because each closed connection keeps
 * its own for a minute. Connections that come and go therefore start from several addresses of the
 * loopback network in turn.
 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define SOURCE_ADDRESSES 64u

static int watch(struct load *load, struct connection *connection, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = connection->index};

    connection->want_write = events & EPOLLOUT;
    if (epoll_ctl(load->epoll_fd, operation, connection->fd, &event) < 0) {
        load_fail(load, "epoll_ctl: %s", strerror(errno));
        return -1;
    }
    return 0;
}

int connection_watch(struct load *load, struct connection *connection, bool write)
{
    return watch(load, connection, EPOLL_CTL_MOD, EPOLLIN | (write ? EPOLLOUT : 0u));
}

/* A Unix socket's connect does not go on in the background: with a full backlog it waits. */
static int connect_unix(int fd, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 5};

    memcpy(address.sun_path, path, strlen(path)); /* its length was checked with the options */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -1;
    return fcntl(fd, F_SETFL, O_NONBLOCK);
}

/* Takes the next source address; its port is chosen when it connects. */
static int take_source(int fd, uint64_t number)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1u + (uint32_t)(number % SOURCE_ADDRESSES)),
    };
    int one = 1;

    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) < 0)
        return -1;
    return bind(fd, (struct sockaddr *)&address, sizeof(address));
}

static int connect_inet(struct load *load, int fd)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(load->options.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int one = 1;

    if (!load->options.mode.datagrams)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (load->options.mode.course == COURSE_CHURN && take_source(fd, load->opened) < 0)
        return -1;
    return connect(fd, (struct sockaddr *)&address, sizeof(address));
}

int connection_open(struct load *load, struct connection *connection)
{
    const struct load_options *options = &load->options;
    int type = options->mode.datagrams ? SOCK_DGRAM : SOCK_STREAM;
    int status;

    connection->fd = options->unix_path ? socket(AF_UNIX, type | SOCK_CLOEXEC, 0)
                                        : socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) {
        load_fail(load, "connection %u: %s", connection->index, strerror(errno));
        return -1;
    }
    connection->state = CONNECTION_CONNECTING;
    load->opened++;
    status = options->unix_path ? connect_unix(connection->fd, options->unix_path)
                                : connect_inet(load, connection->fd);
    if (status < 0 && errno != EINPROGRESS) {
        load_fail(load, "connection %u: connect: %s", connection->index, strerror(errno));
        return -1;
    }
    return watch(load, connection, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static int became_open(struct load *load, struct connection *connection)
{
    connection->state = CONNECTION_OPEN;
    load->connected++;
    return connection_watch(load, connection, false);
}

static int shake_hands(struct load *load, struct connection *connection)
{
    bool write = false;
    int status = load_tls_handshake(connection, &write);

    if (status == -EAGAIN)
        return write == connection->want_write ? 0 : connection_watch(load, connection, write);
    if (status < 0) {
        load_fail(load, "connection %u: TLS handshake: %s", connection->index, load_tls_error());
        return -1;
    }
    return became_open(load, connection);
}

static int connected(struct load *load, struct connection *connection)
{
    int error = 0;
    socklen_t length = sizeof(error);

    if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
        error = errno;
    if (error) {
        load_fail(load, "connection %u: connect: %s", connection->index, strerror(error));
        return -1;
    }
    if (!load->options.tls)
        return became_open(load, connection);
    connection->state = CONNECTION_HANDSHAKE;
    if (load_tls_open(connection) < 0) {
        load_fail(load, "connection %u: TLS: %s", connection->index, load_tls_error());
        return -1;
    }
    return shake_hands(load, connection);
}

int connection_proceed(struct load *load, struct connection *connection)
{
    if (connection->state == CONNECTION_CONNECTING)
        return connected(load, connection);
    if (connection->state == CONNECTION_HANDSHAKE)
        return shake_hands(load, connection);
    return connection_readable(load, connection); /* session tickets; anything else is an error */
}

/* Closes it and, while requests are wanted, opens the next in its place. */
int connection_again(struct load *load, struct connection *connection)
{
    connection_close(connection);
    load->connected--;
    connection_issue(load, connection);
    if (connection->issued == connection->answered)
        return 0;
    return connection_open(load, connection);
}

void connection_close(struct connection *connection)
{
    if (connection->state == CONNECTION_CLOSED)
        return;
    if (connection->tls)
        load_tls_close(connection);
    close(connection->fd);
    connection->state = CONNECTION_CLOSED;
}

void connection_free(struct connection *connection)
{
    connection_close(connection);
    free(connection->head);
}
