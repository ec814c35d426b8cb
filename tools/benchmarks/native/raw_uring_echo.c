/*
 * raw_uring_echo.c - the best plain liburing echo server: the limit that a library is measured by
 *
 *   raw_uring_echo [PORT] [--buffers N] [--buffer-size BYTES] [--bundle yes|no|auto]
 *
 * SINGLE_ISSUER | DEFER_TASKRUN, one kernel entry per turn, multishot accept, multishot receive
 * into a provided-buffer ring. Nothing is copied: a connection's received buffers wait in its
 * queue, one send (gathered when there are several) is in flight, and the buffers go back to the
 * ring when it has completed. Bundles (one completion for several buffers) are trusted from Linux
 * 6.15 on. SIGTERM ends it with one line of JSON.
 */
#include "raw_buffers.h"
#include "raw_listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef IORING_RECVSEND_BUNDLE
#define IORING_RECVSEND_BUNDLE (1U << 4)
#endif
#ifndef IORING_FEAT_RECVSEND_BUNDLE
#define IORING_FEAT_RECVSEND_BUNDLE (1U << 14)
#endif

#define PIECES_MAX 64u
#define CONNECTIONS_MAX 32768u

enum {
    KIND_ACCEPT = 1,
    KIND_RECEIVE,
    KIND_SEND
};

struct connection {
    uint32_t first, last; /* received buffers, in order */
    uint32_t sending;     /* how many of them the send in flight covers */
    bool receiving;
    bool waiting; /* for a buffer, in server.starved */
    bool dirty;   /* in server.dirty */
    bool over;    /* nothing more is read */
    bool dead;    /* nothing more is written */
    struct msghdr message;
    struct iovec pieces[PIECES_MAX];
};

static struct {
    struct io_uring ring;
    struct raw_buffers buffers;
    struct connection *connections[CONNECTIONS_MAX]; /* by descriptor */
    int dirty[CONNECTIONS_MAX], starved[CONNECTIONS_MAX];
    uint32_t n_dirty, n_starved;
    int listen_fd;
    bool bundle;
    unsigned long long kernel_entries, bytes, receives, sends, starvations, accepted;
} server;

static struct io_uring_sqe *next_sqe(uint64_t kind, int fd)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&server.ring);

    if (!sqe) {
        server.kernel_entries++;
        io_uring_submit(&server.ring);
        sqe = io_uring_get_sqe(&server.ring);
    }
    if (!sqe) {
        fprintf(stderr, "raw_uring_echo: the submission queue stays full\n");
        exit(1);
    }
    /* liburing's prep functions leave user_data alone from 2.3 on. */
    sqe->user_data = kind << 32 | (uint32_t)fd;
    return sqe;
}

static void arm_accept(void)
{
    struct io_uring_sqe *sqe = next_sqe(KIND_ACCEPT, server.listen_fd);

    io_uring_prep_multishot_accept(sqe, server.listen_fd, NULL, NULL, SOCK_CLOEXEC);
}

static void arm_receive(int fd)
{
    struct io_uring_sqe *sqe = next_sqe(KIND_RECEIVE, fd);

    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = RAW_BUFFER_GROUP;
    if (server.bundle)
        sqe->ioprio |= IORING_RECVSEND_BUNDLE;
    server.connections[fd]->receiving = true;
}

static void mark_dirty(int fd)
{
    if (server.connections[fd]->dirty)
        return;
    server.connections[fd]->dirty = true;
    server.dirty[server.n_dirty++] = fd;
}

/* Sends what is queued, in one piece or gathered. */
static void start_send(int fd)
{
    struct connection *connection = server.connections[fd];
    const int flags = MSG_NOSIGNAL | MSG_WAITALL;
    struct io_uring_sqe *sqe;
    uint32_t n = 0;

    for (uint32_t buffer = connection->first; buffer != RAW_BUFFER_NONE && n < PIECES_MAX;
         buffer = server.buffers.fragments[buffer].next) {
        const struct raw_fragment *fragment = &server.buffers.fragments[buffer];

        connection->pieces[n].iov_base = raw_buffer_at(&server.buffers, buffer) + fragment->offset;
        connection->pieces[n++].iov_len = fragment->length;
    }
    sqe = next_sqe(KIND_SEND, fd);
    if (n == 1) {
        io_uring_prep_send(sqe, fd, connection->pieces[0].iov_base, connection->pieces[0].iov_len,
                           flags);
    } else {
        connection->message = (struct msghdr){.msg_iov = connection->pieces, .msg_iovlen = n};
        io_uring_prep_sendmsg(sqe, fd, &connection->message, flags);
    }
    connection->sending = n;
    server.sends++;
}

static void queue_fragment(struct connection *connection, uint32_t buffer, uint32_t length)
{
    struct raw_fragment *fragment = &server.buffers.fragments[buffer];

    fragment->offset = 0;
    fragment->length = length;
    fragment->next = RAW_BUFFER_NONE;
    if (connection->first == RAW_BUFFER_NONE)
        connection->first = buffer;
    else
        server.buffers.fragments[connection->last].next = buffer;
    connection->last = buffer;
    server.buffers.with_kernel--;
}

/* Takes @bytes off the head of the queue; whole buffers go back to the ring. */
static void release(struct connection *connection, uint32_t bytes)
{
    while (connection->first != RAW_BUFFER_NONE) {
        uint32_t buffer = connection->first;
        struct raw_fragment *fragment = &server.buffers.fragments[buffer];

        if (fragment->length > bytes) {
            fragment->offset += bytes;
            fragment->length -= bytes;
            return;
        }
        bytes -= fragment->length;
        connection->first = fragment->next;
        raw_buffers_give(&server.buffers, buffer);
    }
}

static void on_accept(const struct io_uring_cqe *cqe)
{
    int fd = cqe->res;
    struct connection *connection;

    if (!(cqe->flags & IORING_CQE_F_MORE))
        arm_accept();
    if (fd < 0)
        return;
    connection = fd < (int)CONNECTIONS_MAX ? calloc(1, sizeof(*connection)) : NULL;
    if (!connection) {
        close(fd);
        return;
    }
    connection->first = RAW_BUFFER_NONE;
    server.connections[fd] = connection;
    server.accepted++;
    arm_receive(fd);
}

static void on_receive(int fd, const struct io_uring_cqe *cqe)
{
    struct connection *connection = server.connections[fd];

    server.receives++;
    if (!(cqe->flags & IORING_CQE_F_MORE))
        connection->receiving = false;
    if (cqe->res > 0) {
        uint32_t left = (uint32_t)cqe->res, buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

        for (;;) {
            uint32_t part = left < server.buffers.size ? left : server.buffers.size;
            uint32_t following = raw_buffers_following(&server.buffers, buffer);

            queue_fragment(connection, buffer, part);
            left -= part;
            if (!left)
                break;
            buffer = following;
        }
    } else if (cqe->res == -ENOBUFS) {
        server.starvations++;
        connection->waiting = true;
        server.starved[server.n_starved++] = fd;
    } else {
        connection->over = true;
        connection->dead = cqe->res < 0;
    }
    if (!connection->receiving && !connection->waiting && !connection->over)
        arm_receive(fd);
    mark_dirty(fd);
}

static void on_send(int fd, const struct io_uring_cqe *cqe)
{
    struct connection *connection = server.connections[fd];

    connection->sending = 0;
    if (cqe->res > 0) {
        server.bytes += (unsigned)cqe->res;
        release(connection, (uint32_t)cqe->res);
    } else {
        connection->dead = true;
        if (connection->receiving) /* makes the receive end too */
            (void)shutdown(fd, SHUT_RDWR);
    }
    mark_dirty(fd);
}

/* Everything a turn asked for: one send per connection, and the end of those that are over. */
static void settle(int fd)
{
    struct connection *connection = server.connections[fd];

    connection->dirty = false;
    if (connection->sending)
        return;
    if (connection->dead)
        release(connection, UINT32_MAX);
    if (connection->first != RAW_BUFFER_NONE) {
        start_send(fd);
    } else if ((connection->over || connection->dead) && !connection->receiving &&
               !connection->waiting) {
        server.connections[fd] = NULL;
        free(connection);
        close(fd);
    }
}

static void settle_turn(void)
{
    for (uint32_t i = 0; i < server.n_dirty; i++)
        settle(server.dirty[i]);
    server.n_dirty = 0;
    raw_buffers_publish(&server.buffers);
    while (server.n_starved && server.buffers.with_kernel) {
        int fd = server.starved[--server.n_starved];

        server.connections[fd]->waiting = false;
        arm_receive(fd);
    }
}

static void serve(void)
{
    struct __kernel_timespec second = {.tv_sec = 1};
    struct io_uring_cqe *cqe;
    unsigned head, n;

    arm_accept();
    while (!raw_stopped) {
        if (io_uring_sq_ready(&server.ring) || !io_uring_cq_ready(&server.ring))
            server.kernel_entries++;
        (void)io_uring_submit_and_wait_timeout(&server.ring, &cqe, 1, &second, NULL);
        n = 0;
        io_uring_for_each_cqe(&server.ring, head, cqe)
        {
            int fd = (int)(uint32_t)cqe->user_data;

            n++;
            if (cqe->user_data >> 32 == KIND_ACCEPT)
                on_accept(cqe);
            else if (cqe->user_data >> 32 == KIND_RECEIVE)
                on_receive(fd, cqe);
            else
                on_send(fd, cqe);
        }
        io_uring_cq_advance(&server.ring, n);
        settle_turn();
    }
}

/* Bundles exist from 6.10 on and lost data in some cases before 6.15. */
static bool bundles_trusted(void)
{
    struct utsname name;
    int major = 0, minor = 0;

    return !uname(&name) && sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
           major * 1000 + minor >= 6015;
}

static int start_ring(uint32_t buffers, uint32_t buffer_size, const char *bundle)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                 IORING_SETUP_SUBMIT_ALL,
        .cq_entries = 8192,
    };
    int result = io_uring_queue_init_params(1024, &server.ring, &params);

    if (result < 0) {
        fprintf(stderr, "raw_uring_echo: io_uring_setup: %s\n", strerror(-result));
        return result;
    }
    (void)io_uring_register_ring_fd(&server.ring);
    server.bundle = params.features & IORING_FEAT_RECVSEND_BUNDLE &&
                    (!strcmp(bundle, "yes") || (!strcmp(bundle, "auto") && bundles_trusted()));
    result = raw_buffers_init(&server.buffers, &server.ring, buffers, buffer_size);
    if (result < 0)
        fprintf(stderr, "raw_uring_echo: buffers: %s\n", strerror(-result));
    return result;
}

int main(int argc, char **argv)
{
    uint32_t buffers = 1024, buffer_size = 4096;
    const char *bundle = "auto";
    uint16_t port = 0;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--buffers") && i + 1 < argc)
            buffers = raw_number("raw_uring_echo", argv[++i], 1, RAW_BUFFERS_MAX);
        else if (!strcmp(argv[i], "--buffer-size") && i + 1 < argc)
            buffer_size = raw_number("raw_uring_echo", argv[++i], 64, 1u << 26);
        else if (!strcmp(argv[i], "--bundle") && i + 1 < argc)
            bundle = argv[++i];
        else
            port = (uint16_t)raw_number("raw_uring_echo", argv[i], 0, 65535);
    }
    if (buffers & (buffers - 1)) {
        fprintf(stderr, "raw_uring_echo: --buffers must be a power of two\n");
        return 2;
    }
    if (start_ring(buffers, buffer_size, bundle) < 0)
        return 1;
    server.listen_fd = raw_listen("raw_uring_echo", port, 0);
    if (server.listen_fd < 0)
        return 1;
    serve();
    printf("{\"server\": \"raw_uring_echo\", \"kernel_entries\": %llu, \"bytes\": %llu, "
           "\"receives\": %llu, \"sends\": %llu, \"starvations\": %llu, \"accepted\": %llu, "
           "\"bundle\": %s, \"buffers\": %u, \"buffer_size\": %u}\n",
           server.kernel_entries, server.bytes, server.receives, server.sends, server.starvations,
           server.accepted, server.bundle ? "true" : "false", buffers, buffer_size);
    io_uring_queue_exit(&server.ring);
    raw_buffers_finish(&server.buffers);
    close(server.listen_fd);
    return 0;
}
