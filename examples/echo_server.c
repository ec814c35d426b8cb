/*
 * A TCP echo server: the whole life of connections on a ring.
 *
 *   echo_server [PORT]     0, the default, lets the kernel choose; prints "port N"
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

static volatile sig_atomic_t ended;
static uc_fd *connections[DESCRIPTORS]; /* by descriptor */

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

static void on_accept(uc_ring *ring, int fd)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (fd >= DESCRIPTORS || uc_fd_attach(ring, fd, NULL, &connections[fd]) < 0)
        close(fd);
    else
        uc_fd_recv_start(connections[fd]);
}

static void on_event(uc_ring *ring, const uint8_t *memory, const struct uc_event *event)
{
    uc_fd *connection = event->fd >= 0 ? connections[event->fd] : NULL;

    switch (event->kind) {
    case UC_EVENT_ACCEPT:
        if (event->result >= 0)
            on_accept(ring, event->result);
        break;
    case UC_EVENT_RECV:
        if (event->result > 0)
            uc_fd_send(connection, memory + event->offset, (uint64_t)event->result, 0);
        else
            uc_fd_close(connection, 0);
        break;
    case UC_EVENT_SEND_FAILED:
        uc_fd_close(connection, UC_CLOSE_ABORT);
        break;
    case UC_EVENT_CLOSED:
        connections[event->fd] = uc_fd_free(connection);
        break;
    }
}

int main(int argc, char **argv)
{
    int listener = listen_on(argc > 1 ? atoi(argv[1]) : 0), n;
    struct sigaction action = {.sa_handler = on_signal};
    struct uc_event events[EVENTS];
    const uint8_t *memory;
    uc_ring *ring;

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    check("uc_ring_new", uc_ring_new(NULL, &ring));
    check("uc_fd_attach", uc_fd_attach(ring, listener, NULL, &connections[listener]));
    check("uc_fd_accept_start", uc_fd_accept_start(connections[listener]));
    memory = uc_pool_base(uc_ring_pool(ring));
    while (!ended) {
        n = uc_ring_wait(ring, events, EVENTS, -1);
        if (n != -EINTR)
            check("uc_ring_wait", n);
        for (int i = 0; i < n; i++)
            on_event(ring, memory, &events[i]);
    }
    uc_ring_free(ring);
    for (int fd = 0; fd < DESCRIPTORS; fd++)
        uc_fd_free(connections[fd]);
    return 0;
}
