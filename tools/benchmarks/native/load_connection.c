/*
 * load_connection.c - one connection of the load generator
 *
 * Reading and writing alternate: one receive and one gathered send per readiness, none of them
 * ever waits. A message larger than the socket buffers therefore flows out while its echo flows
 * in, and neither side can block the other.
 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define WRITE_PIECES 32

static int watch(struct load *load, struct connection *connection, int operation, bool write)
{
    struct epoll_event event = {
        .events = EPOLLIN | (write ? EPOLLOUT : 0u),
        .data.u32 = connection->index,
    };

    connection->want_write = write;
    if (epoll_ctl(load->epoll_fd, operation, connection->fd, &event) < 0) {
        load_fail(load, "epoll_ctl: %s", strerror(errno));
        return -1;
    }
    return 0;
}

int connection_open(struct load *load, uint32_t index)
{
    struct connection *connection = &load->connections[index];
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(load->options.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int one = 1;

    connection->index = index;
    connection->issued_ns = calloc(load->options.depth, sizeof(*connection->issued_ns));
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 || !connection->issued_ns) {
        load_fail(load, "connection %u: %s", index, strerror(errno));
        return -1;
    }
    (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
        errno != EINPROGRESS) {
        load_fail(load, "connection %u: connect: %s", index, strerror(errno));
        return -1;
    }
    return watch(load, connection, EPOLL_CTL_ADD, true);
}

int connection_established(struct load *load, struct connection *connection)
{
    int error = 0;
    socklen_t length = sizeof(error);

    if (!connection->want_write) {
        load_fail(load, "connection %u: the server spoke or closed before any request",
                  connection->index);
        return -1;
    }
    if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
        error = errno;
    if (error) {
        load_fail(load, "connection %u: connect: %s", connection->index, strerror(error));
        return -1;
    }
    load->connected++;
    return watch(load, connection, EPOLL_CTL_MOD, false);
}

void connection_close(struct connection *connection)
{
    if (connection->issued_ns && connection->fd >= 0)
        close(connection->fd);
    free(connection->issued_ns);
    free(connection->head);
    connection->fd = -1;
    connection->issued_ns = NULL;
    connection->head = NULL;
}

/* Opens as many new requests as the depth allows, while the phase wants any. */
static void issue(struct load *load, struct connection *connection)
{
    uint32_t depth = load->options.depth;

    if (load->phase > PHASE_MEASURE)
        return;
    while (connection->issued - connection->answered < depth) {
        connection->issued_ns[connection->issued % depth] = load->now_ns;
        connection->issued++;
        load->outstanding++;
    }
}

int connection_start(struct load *load, struct connection *connection)
{
    issue(load, connection);
    return connection_writable(load, connection);
}

void connection_answered(struct load *load, struct connection *connection)
{
    uint64_t issued = connection->issued_ns[connection->answered % load->options.depth];

    connection->answered++;
    connection->read_offset = 0;
    load->outstanding--;
    load->answer_ns = load->now_ns;
    if (load->phase != PHASE_MEASURE)
        return;
    load->requests++;
    histogram_add(&load->latency, load->now_ns - issued);
}

/* What one send gathers, and the place in the stream of requests behind it. */
struct batch {
    struct iovec pieces[WRITE_PIECES];
    size_t n_pieces;
    size_t bytes;
    uint64_t end_sequence;
    uint64_t end_offset;
    unsigned char scratch[WRITE_PIECES][LOAD_PIECE_BYTES];
};

static void gather(struct load *load, struct connection *connection, struct batch *batch)
{
    uint64_t sequence = connection->writing, offset = connection->write_offset;
    size_t n = 0;

    batch->bytes = 0;
    while (n < WRITE_PIECES && sequence < connection->issued) {
        const unsigned char *at;
        size_t length = load->options.dialogue->request(load, connection->index, sequence, offset,
                                                        batch->scratch[n], &at);
        if (!length) {
            sequence++;
            offset = 0;
            continue;
        }
        batch->pieces[n++] = (struct iovec){.iov_base = (void *)(uintptr_t)at, .iov_len = length};
        offset += length;
        batch->bytes += length;
    }
    batch->n_pieces = n;
    batch->end_sequence = sequence;
    batch->end_offset = offset;
}

static ssize_t send_batch(int fd, struct batch *batch)
{
    struct msghdr message = {.msg_iov = batch->pieces, .msg_iovlen = batch->n_pieces};
    ssize_t sent;

    do {
        if (batch->n_pieces == 1)
            sent = send(fd, batch->pieces[0].iov_base, batch->bytes, MSG_NOSIGNAL);
        else
            sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

/* Moves the place of writing on by @bytes that the kernel took. */
static void advance(struct load *load, struct connection *connection, size_t bytes)
{
    unsigned char scratch[LOAD_PIECE_BYTES];

    for (;;) {
        const unsigned char *at;
        size_t length = load->options.dialogue->request(
            load, connection->index, connection->writing, connection->write_offset, scratch, &at);
        if (!length) {
            connection->writing++;
            connection->write_offset = 0;
            if (!bytes)
                return;
            continue;
        }
        if (!bytes)
            return;
        if (length > bytes)
            length = bytes;
        connection->write_offset += length;
        bytes -= length;
    }
}

int connection_writable(struct load *load, struct connection *connection)
{
    struct batch batch;
    bool blocked = false;

    while (connection->writing < connection->issued && !blocked) {
        ssize_t sent;

        gather(load, connection, &batch);
        if (!batch.n_pieces) { /* the end of the last request, with nothing behind it */
            connection->writing = batch.end_sequence;
            connection->write_offset = batch.end_offset;
            break;
        }
        sent = send_batch(connection->fd, &batch);
        if (sent < 0 && errno != EAGAIN) {
            load_fail(load, "connection %u: send: %s", connection->index, strerror(errno));
            return -1;
        }
        blocked = sent < 0 || (size_t)sent < batch.bytes;
        if (!blocked) {
            connection->writing = batch.end_sequence;
            connection->write_offset = batch.end_offset;
        } else if (sent > 0) {
            advance(load, connection, (size_t)sent);
        }
    }
    if (blocked != connection->want_write)
        return watch(load, connection, EPOLL_CTL_MOD, blocked);
    return 0;
}

int connection_readable(struct load *load, struct connection *connection)
{
    int flags = load->options.discard ? MSG_TRUNC : 0;
    ssize_t got = recv(connection->fd, load->buffer, load->buffer_bytes, flags);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got < 0) {
        load_fail(load, "connection %u: recv: %s", connection->index, strerror(errno));
        return -1;
    }
    if (got == 0) {
        load_fail(load, "connection %u: the server closed it after %llu answers", connection->index,
                  (unsigned long long)connection->answered);
        return -1;
    }
    load->now_ns = load_clock_ns();
    if (load->phase == PHASE_MEASURE)
        load->bytes += (uint64_t)got;
    if (load->options.dialogue->receive(load, connection, load->buffer, (size_t)got) < 0)
        return -1;
    issue(load, connection);
    return connection->want_write ? 0 : connection_writable(load, connection);
}
