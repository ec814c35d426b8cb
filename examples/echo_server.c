/*
 * A TCP echo server: the whole life of connections on a ring.
 *
 *   echo_server [PORT]     0, the default, lets the kernel choose; prints "port N"
 *
 * Small pieces are copied into the send queue. Large ones go back from where they were received:
 * the record is kept (a lease), sent by reference, and released when the kernel has let go of it. From
 * a peer that does not read nothing is received: its leases count against its credit, and copies are
 * made only up to the high-water mark.
 *
 * Ends on SIGTERM and SIGINT.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <uc.h>
#include <unistd.h>

#define EVENTS 256
#define DESCRIPTORS 65536
#define LEASES 64          /* of one connection, */
#define LEASES_ALL 512     /* and of all: half the pool, the rest is to receive into */
#define COPIED_BYTES 16384 /* up to here a copy is cheaper than a buffer that is away */
#define QUEUED_BYTES 1048576

struct connection {
    uc_fd *fd;
    uint64_t leases[LEASES]; /* tokens, in the order of sending */
    uint32_t first, count;
};

static volatile sig_atomic_t ended;
static struct connection *connections[DESCRIPTORS]; /* by descriptor */
static uc_ring *ring;
static uc_pool *pool;
static uint32_t leased;

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

static void check(const char *what, int result)
{
    if (result >= 0)
        return;
    fprintf(stderr, "echo_server: %s: %s\n", what, uc_error_name(result));
    exit(1);
}

static int listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, 1024) < 0)
        check("listen", -errno);
    getsockname(fd, (struct sockaddr *)&address, &length);
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static struct connection *open_connection(int fd)
{
    struct uc_fd_options options = {
        .size = sizeof(options),
        .high_water = QUEUED_BYTES,
        .low_water = QUEUED_BYTES / 4,
    };
    struct connection *connection = calloc(1, sizeof(*connection));

    if (connection && uc_fd_attach(ring, fd, &options, &connection->fd) == 0)
        return connections[fd] = connection;
    free(connection);
    return NULL;
}

static void release(struct connection *connection, uint32_t count)
{
    for (; count && connection->count; count--) {
        uc_pool_release(pool, connection->leases[connection->first++ % LEASES]);
        connection->count--;
        leased--;
    }
}

static void close_connection(int fd)
{
    struct connection *connection = connections[fd];

    connections[fd] = NULL;
    if (!connection)
        return;
    uc_fd_free(connection->fd);
    release(connection, LEASES);
    free(connection);
}

static void on_accept(int fd)
{
    struct connection *connection = fd < DESCRIPTORS ? open_connection(fd) : NULL;
    int on = 1;

    if (!connection) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    uc_fd_recv_start(connection->fd);
}

static void echo(struct connection *connection, const struct uc_event *event)
{
    const uint8_t *data = (const uint8_t *)uc_pool_base(pool) + event->offset;
    uint64_t bytes = (uint64_t)event->result;
    struct uc_lease lease;

    if (bytes <= COPIED_BYTES || connection->count == LEASES || leased == LEASES_ALL ||
        uc_pool_keep(pool, event->buffer, &lease) < 0) {
        if (uc_fd_send(connection->fd, data, bytes, 0) > QUEUED_BYTES)
            uc_fd_recv_stop(connection->fd);
        return;
    }
    leased++;
    connection->leases[(connection->first + connection->count++) % LEASES] = lease.token;
    if (uc_fd_send(connection->fd, data, bytes, UC_SEND_REFERENCE) < 0)
        uc_fd_close(connection->fd, UC_CLOSE_ABORT);
}

static void on_event(const struct uc_event *event)
{
    struct connection *connection = event->fd >= 0 ? connections[event->fd] : NULL;

    switch (event->kind) {
    case UC_EVENT_ACCEPT:
        if (event->result >= 0)
            on_accept(event->result);
        break;
    case UC_EVENT_RECV:
        if (event->result > 0)
            echo(connection, event);
        else
            uc_fd_close(connection->fd, 0);
        break;
    case UC_EVENT_SENT:
        release(connection, (uint32_t)event->result);
        if (event->flags & UC_EVENT_LOW_WATER)
            uc_fd_recv_start(connection->fd);
        break;
    case UC_EVENT_SEND_FAILED:
        uc_fd_close(connection->fd, UC_CLOSE_ABORT);
        break;
    case UC_EVENT_CLOSED:
        close_connection(event->fd);
        break;
    }
}

int main(int argc, char **argv)
{
    /* Nobody but the kernel has pointers into a lease here: it need not rest. */
    struct uc_pool_options options = {
        .size = sizeof(options),
        .buffer_max = 2 * LEASES_ALL,
        .quarantine_ns = 0,
    };
    struct uc_ring_options ring_options = {.size = sizeof(ring_options)};
    int listener = listen_on(argc > 1 ? atoi(argv[1]) : 0), n;
    struct sigaction action = {.sa_handler = on_signal};
    struct uc_event events[EVENTS];

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    check("uc_pool_new", uc_pool_new(&options, &pool));
    ring_options.pool = pool;
    check("uc_ring_new", uc_ring_new(&ring_options, &ring));
    if (!open_connection(listener))
        check("uc_fd_attach", -ENOMEM);
    check("uc_fd_accept_start", uc_fd_accept_start(connections[listener]->fd));
    while (!ended) {
        n = uc_ring_wait(ring, events, EVENTS, -1);
        if (n != -EINTR)
            check("uc_ring_wait", n);
        for (int i = 0; i < n; i++)
            on_event(&events[i]);
    }
    uc_ring_free(ring);
    for (int fd = 0; fd < DESCRIPTORS; fd++)
        close_connection(fd);
    uc_pool_free(pool);
    return 0;
}
