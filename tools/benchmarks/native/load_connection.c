/*
 * load_connection.c - one connection of the load generator
 *
 * Reading and writing alternate: one receive and one gathered send per readiness, none of them
 * ever waits. A message larger than the socket buffers therefore flows out while its echo flows
 * in, and neither side can block the other.
 */
#include "load.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define WRITE_PIECES 32

/* Issues as many new requests as the depth and the phase allow. */
void connection_issue(struct load *load, struct connection *connection)
{
    uint32_t depth = load->options.depth;

    while (connection->issued - connection->answered < depth &&
           connection->issued < load->issue_limit) {
        connection->issued_ns[connection->issued % depth] = load->now_ns;
        connection->issued++;
        load->outstanding++;
    }
}

int connection_start(struct load *load, struct connection *connection)
{
    connection_issue(load, connection);
    return load->options.mode.course == COURSE_CHURN ? connection_open(load, connection)
                                                     : connection_writable(load, connection);
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
        size_t length = load->options.mode.dialogue->request(load, connection->index, sequence,
                                                             offset, batch->scratch[n], &at);
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

/* Returns how many bytes were taken, or a negated errno. */
static ssize_t send_batch(struct connection *connection, struct batch *batch)
{
    struct msghdr message = {.msg_iov = batch->pieces, .msg_iovlen = batch->n_pieces};
    ssize_t sent;

    if (connection->tls)
        return load_tls_send(connection, batch->pieces, batch->n_pieces);
    do {
        if (batch->n_pieces == 1)
            sent = send(connection->fd, batch->pieces[0].iov_base, batch->bytes, MSG_NOSIGNAL);
        else
            sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

static const char *error_text(const struct connection *connection, ssize_t error)
{
    return connection->tls ? load_tls_error() : strerror((int)-error);
}

/* Moves the place of writing on by @bytes that the kernel took. */
static void advance(struct load *load, struct connection *connection, size_t bytes)
{
    unsigned char scratch[LOAD_PIECE_BYTES];

    for (;;) {
        const unsigned char *at;
        size_t length = load->options.mode.dialogue->request(
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

    if (load->options.mode.datagrams)
        return datagram_writable(load, connection);
    while (connection->writing < connection->issued && !blocked) {
        ssize_t sent;

        gather(load, connection, &batch);
        if (!batch.n_pieces) { /* the end of the last request, with nothing behind it */
            connection->writing = batch.end_sequence;
            connection->write_offset = batch.end_offset;
            break;
        }
        sent = send_batch(connection, &batch);
        if (sent < 0 && sent != -EAGAIN) {
            load_fail(load, "connection %u: send: %s", connection->index,
                      error_text(connection, sent));
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
        return connection_watch(load, connection, blocked);
    return 0;
}

/* Returns how many bytes came, 0 at the end, or a negated errno. */
static ssize_t receive(struct load *load, struct connection *connection)
{
    int flags = load->options.discard ? MSG_TRUNC : 0;
    ssize_t got;

    if (connection->tls)
        return load_tls_receive(connection, load->buffer, load->buffer_bytes);
    got = recv(connection->fd, load->buffer, load->buffer_bytes, flags);
    return got < 0 ? -errno : got;
}

int connection_take(struct load *load, struct connection *connection, size_t got)
{
    load->now_ns = load_clock_ns();
    if (load->phase == PHASE_MEASURE)
        load->bytes += got;
    return load->options.mode.dialogue->receive(load, connection, load->buffer, got) < 0 ? -1 : 0;
}

int connection_readable(struct load *load, struct connection *connection)
{
    ssize_t got;

    if (load->options.mode.datagrams)
        return datagram_readable(load, connection);
    got = receive(load, connection);
    if (got == -EAGAIN || got == -EINTR)
        return 0;
    if (got < 0) {
        load_fail(load, "connection %u: recv: %s", connection->index, error_text(connection, got));
        return -1;
    }
    if (got == 0) {
        load_fail(load, "connection %u: the server closed it after %llu answers", connection->index,
                  (unsigned long long)connection->answered);
        return -1;
    }
    if (connection_take(load, connection, (size_t)got) < 0)
        return -1;
    if (load->options.mode.course == COURSE_CHURN && connection->answered == connection->issued)
        return connection_again(load, connection);
    connection_issue(load, connection);
    return connection->want_write ? 0 : connection_writable(load, connection);
}
