/*
 * load_datagram.c - the load generator's conversation over UDP
 *
 * A message is one datagram, one is outstanding per socket. A datagram may get lost: after a while
 * without an answer it is counted as lost and the next one is sent. Its answer may still come
 * late; the sequence number in its stamp tells, and it is dropped.
 */
#include "load.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define LOST_NS 250000000u
#define PIECES_MAX 4

/* The whole message @sequence as pieces; @scratch is room for what is composed. */
static size_t compose(struct load *load, struct connection *connection, struct iovec *pieces,
                      unsigned char scratch[][LOAD_PIECE_BYTES])
{
    size_t n = 0;

    for (uint64_t offset = 0; n < PIECES_MAX; n++) {
        const unsigned char *at;
        size_t length = load->options.mode.dialogue->request(
            load, connection->index, connection->writing, offset, scratch[n], &at);
        if (!length)
            break;
        pieces[n] = (struct iovec){.iov_base = (void *)(uintptr_t)at, .iov_len = length};
        offset += length;
    }
    return n;
}

int datagram_writable(struct load *load, struct connection *connection)
{
    unsigned char scratch[PIECES_MAX][LOAD_PIECE_BYTES];
    struct iovec pieces[PIECES_MAX];
    struct msghdr message = {.msg_iov = pieces};

    while (connection->writing < connection->issued) {
        message.msg_iovlen = compose(load, connection, pieces, scratch);
        if (sendmsg(connection->fd, &message, MSG_NOSIGNAL) < 0) {
            if (errno == EAGAIN)
                return connection->want_write ? 0 : connection_watch(load, connection, true);
            load_fail(load, "socket %u: send: %s", connection->index, strerror(errno));
            return -1;
        }
        connection->writing++;
    }
    return connection->want_write ? connection_watch(load, connection, false) : 0;
}

/* Whether the datagram answers a request that was given up. */
static bool is_late(const struct connection *connection, const unsigned char *bytes, size_t length)
{
    uint64_t stamp[2];

    if (length < sizeof(stamp))
        return false;
    memcpy(stamp, bytes, sizeof(stamp));
    return stamp[0] == connection->index && stamp[1] < connection->answered;
}

int datagram_readable(struct load *load, struct connection *connection)
{
    ssize_t got = recv(connection->fd, load->buffer, load->buffer_bytes, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got < 0) {
        load_fail(load, "socket %u: recv: %s", connection->index, strerror(errno));
        return -1;
    }
    if (is_late(connection, load->buffer, (size_t)got))
        return 0;
    if ((size_t)got != load->options.size) {
        load_fail(load, "socket %u, datagram %llu: %zd bytes came back, %u were sent",
                  connection->index, (unsigned long long)connection->answered, got,
                  load->options.size);
        return -1;
    }
    if (connection_take(load, connection, (size_t)got) < 0)
        return -1;
    connection_issue(load, connection);
    return datagram_writable(load, connection);
}

/* Gives up what has waited too long, and asks anew. */
int datagram_expire(struct load *load)
{
    for (uint32_t i = 0; i < load->options.connections; i++) {
        struct connection *connection = &load->connections[i];

        if (connection->issued == connection->answered ||
            load->now_ns - connection->issued_ns[0] < LOST_NS)
            continue;
        connection->answered++;
        load->outstanding--;
        if (load->phase == PHASE_MEASURE)
            load->lost++;
        connection_issue(load, connection);
        if (datagram_writable(load, connection) < 0)
            return -1;
    }
    return 0;
}
