/*
 * A ring inside somebody else's loop: epoll waits, and the ring is one of the things it waits for.
 *
 * The ring echoes on one end of a socket pair. The loop, with plain system calls, sends a message
 * into the other end whenever a timer fires, and checks what comes back.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <uc.h>
#include <unistd.h>

#define EVENTS 16
#define MESSAGES 20
#define MESSAGE_BYTES 1000

static int check(const char *what, int result)
{
    if (result >= 0)
        return result;
    fprintf(stderr, "embed_epoll: %s: %s\n", what, uc_error_name(result));
    exit(1);
}

static int check_call(const char *what, int result)
{
    return check(what, result < 0 ? -errno : result);
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    check_call("epoll_ctl", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

static int start_timer(void)
{
    struct itimerspec every = {.it_interval.tv_nsec = 2000000, .it_value.tv_nsec = 2000000};
    int timer = check_call("timerfd", timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));

    check_call("timerfd_settime", timerfd_settime(timer, 0, &every, NULL));
    return timer;
}

/* All there is to do for the ring: submit what was asked for, and take what has come, until there
 * is neither. Return: 1 once @echo is closed. */
static int turn(uc_ring *ring, uc_fd *echo)
{
    const uint8_t *memory = uc_pool_base(uc_ring_pool(ring));
    struct uc_event events[EVENTS];
    int n, closed = 0;

    while ((n = uc_ring_wait(ring, events, EVENTS, 0)) != 0) {
        if (n == -EINTR)
            continue;
        check("uc_ring_wait", n);
        for (int i = 0; i < n; i++) {
            int bytes = check("an event", events[i].result);
            int64_t queued;

            if (events[i].kind == UC_EVENT_CLOSED) {
                closed = 1;
            } else if (events[i].kind == UC_EVENT_RECV && bytes) {
                queued = uc_fd_send(echo, memory + events[i].offset, (uint64_t)bytes, 0);
                check("uc_fd_send", queued < 0 ? (int)queued : 0);
            } else if (events[i].kind == UC_EVENT_RECV) {
                check("uc_fd_close", uc_fd_close(echo, 0)); /* the peer has ended */
            }
        }
    }
    return closed;
}

static void send_message(int client, int number)
{
    char message[MESSAGE_BYTES];

    memset(message, 'a' + number % 26, sizeof(message));
    if (check_call("send", (int)send(client, message, sizeof(message), 0)) != MESSAGE_BYTES)
        check("send", -EIO);
    if (number == MESSAGES - 1)
        check_call("shutdown", shutdown(client, SHUT_WR));
}

static void check_reply(int client, uint64_t *received)
{
    char reply[4096];
    int n = check_call("recv", (int)recv(client, reply, sizeof(reply), 0));

    if (n == 0 && *received < MESSAGES * MESSAGE_BYTES)
        check("replies ended early", -EIO);
    for (int i = 0; i < n; i++, (*received)++)
        if (reply[i] != (char)('a' + *received / MESSAGE_BYTES % 26))
            check("a byte that was never sent", -EIO);
}

int main(void)
{
    int ends[2], epoll, timer, event_fd, sent = 0, closed = 0;
    struct epoll_event ready[4];
    uint64_t received = 0, count;
    uc_ring *ring;
    uc_fd *echo;

    check_call("socketpair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    check("uc_ring_new", uc_ring_new(NULL, &ring));
    check("uc_fd_attach", uc_fd_attach(ring, ends[0], NULL, &echo));
    check("uc_fd_recv_start", uc_fd_recv_start(echo));
    event_fd = check("uc_ring_event_fd", uc_ring_event_fd(ring));
    timer = start_timer();
    epoll = check_call("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
    watch(epoll, event_fd);
    watch(epoll, timer);
    watch(epoll, ends[1]);
    for (;;) {
        int n;

        closed |= turn(ring, echo); /* before every sleep: what was queued must leave */
        if (closed && received == MESSAGES * MESSAGE_BYTES)
            break;
        n = epoll_wait(epoll, ready, 4, 5000);

        if (n == 0)
            check("five seconds without anything", -ETIME);
        check_call("epoll_wait", n < 0 && errno == EINTR ? 0 : n);
        for (int i = 0; i < n; i++) {
            if (ready[i].data.fd == ends[1])
                check_reply(ends[1], &received);
            else if (read(ready[i].data.fd, &count, sizeof(count)) < 0)
                check("read", errno == EAGAIN ? 0 : -errno);
            else if (ready[i].data.fd == timer && sent < MESSAGES)
                send_message(ends[1], sent++);
        }
    }
    uc_fd_free(echo);
    uc_ring_free(ring);
    printf("%d messages echoed\n", sent);
    return close(epoll) || close(timer) || close(ends[1]);
}
