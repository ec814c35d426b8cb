#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

static struct sockaddr_in local(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

static void set_buffers(int fd, int bytes)
{
    if (!bytes)
        return;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)), 0);
}

static int tcp_socket(int buffer_bytes)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    assert_true(fd >= 0);
    /* Small pieces are not held back until the ones before them are acknowledged. */
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
    set_buffers(fd, buffer_bytes);
    return fd;
}

int uct_peer(struct uct *t, int fd)
{
    assert_true(fd >= 0 && t->peer_count < UCT_PEERS);
    t->peers[t->peer_count++] = fd;
    return fd;
}

void uct_peer_close(struct uct *t, int fd)
{
    for (uint32_t i = 0; i < t->peer_count; i++)
        if (t->peers[i] == fd)
            t->peers[i] = t->peers[--t->peer_count];
    assert_int_equal(close(fd), 0);
}

int uct_listen(uint16_t port, int backlog, int buffer_bytes)
{
    struct sockaddr_in address = local(port);
    int fd = tcp_socket(buffer_bytes), one = 1;

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, backlog) < 0) {
        int error = errno;

        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

uint16_t uct_port(int fd)
{
    struct sockaddr_in address;
    socklen_t bytes = sizeof(address);

    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    return ntohs(address.sin_port);
}

int uct_connect(uint16_t port, int buffer_bytes)
{
    struct sockaddr_in address = local(port);
    int fd = tcp_socket(buffer_bytes);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

void uct_tcp_pair(int pair[2], int buffer_bytes)
{
    int listener = uct_listen(0, 1, buffer_bytes);

    assert_true(listener >= 0);
    pair[1] = uct_connect(uct_port(listener), buffer_bytes);
    pair[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(pair[0] >= 0);
    close(listener);
}

void uct_pipe(struct uct *t, int ends[2], int flags)
{
    assert_int_equal(pipe2(ends, O_CLOEXEC | flags), 0);
    uct_peer(t, ends[0]);
    uct_peer(t, ends[1]);
}

int uct_udp(void)
{
    struct sockaddr_in address = local(0);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

void uct_reset(struct uct *t, int fd)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    uct_peer_close(t, fd);
}

struct uct_link uct_link(struct uct *t, const struct uc_fd_options *options, int buffer_bytes)
{
    int pair[2];

    uct_tcp_pair(pair, buffer_bytes);
    return (struct uct_link){
        .sink = uct_attach(t, pair[0], options),
        .peer = uct_peer(t, pair[1]),
    };
}
