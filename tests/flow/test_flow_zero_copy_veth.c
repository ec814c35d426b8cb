/*
 * Zero-copy sends to a peer that is not on this machine, as far as its addresses tell: in another
 * network namespace, at the other end of a pair of virtual cards. The kernel has to copy there, and
 * reports it. Needs root and ip(8); everything goes with the processes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define OURS "10.213.77.1"
#define THEIRS "10.213.77.2"
#define PORT 7
#define PIECE (UINT64_C(256) << 10)
#define PIECES 16
#define CANNOT 100 /* exit status: there is no such thing here */

static bool run(const char *command)
{
    return system(command) == 0;
}

static struct sockaddr_in theirs(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};

    inet_pton(AF_INET, THEIRS, &address.sin_addr);
    return address;
}

/* The other machine: it has its card, then listens, says so, and reads one connection to its end. */
static int be_the_peer(int from_us, int to_us)
{
    struct sockaddr_in address = theirs();
    struct pollfd readable = {.events = POLLIN};
    uint64_t seen = 0;
    char byte = 0;
    int listener, connection;

    if (unshare(CLONE_NEWNET) < 0 || write(to_us, &byte, 1) != 1 || read(from_us, &byte, 1) != 1)
        return CANNOT;
    if (!run("ip addr add " THEIRS "/24 dev uc_theirs && ip link set uc_theirs up"))
        return CANNOT;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    UCT_CHECK(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    UCT_CHECK(listen(listener, 1) == 0);
    UCT_CHECK(write(to_us, &byte, 1) == 1);
    connection = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    UCT_CHECK(connection >= 0);
    readable.fd = connection;
    do
        UCT_CHECK(poll(&readable, 1, (int)uct_deadline_ms()) == 1);
    while (uct_read_some(connection, 1, &seen));
    return seen == PIECES * PIECE ? 0 : __LINE__;
}

static int connect_to_peer(void)
{
    struct sockaddr_in address = theirs();
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? fd : -errno;
}

static struct uc_fd_status status_of(const struct uct_sink *sink)
{
    struct uc_fd_status status = {.size = sizeof(status)};

    assert_int_equal(uc_fd_get_status(sink->fd, &status), 0);
    return status;
}

/* The first piece goes without a copy, as far as libuc can; the kernel's report ends that. */
static int send_to_peer(void)
{
    static uint8_t memory[PIECES * PIECE];
    struct uc_fd_options options = {.size = sizeof(options), .zero_copy_bytes = PIECE};
    struct uct *t = uct_open(NULL);
    bool reports = uct_info(t->ring).features & UC_FEATURE_SEND_ZERO_COPY;
    int fd = connect_to_peer();
    struct uct_sink *sink;

    UCT_CHECK(fd >= 0);
    sink = uct_attach(t, fd, &options);
    uct_pattern(1, 0, memory, sizeof(memory));
    for (uint64_t i = 0; i < PIECES; i++) {
        UCT_CHECK(uc_fd_send(sink->fd, memory + i * PIECE, PIECE, UC_SEND_REFERENCE) > 0);
        UCT_UNTIL(t, sink->references == i + 1);
    }
    if (reports) {
        UCT_CHECK(status_of(sink).zero_copy == UC_ZERO_COPY_COPIED);
        UCT_CHECK(uct_stats(t).zero_copy_sends >= 1);
        UCT_CHECK(uct_stats(t).zero_copy_sends < PIECES);
        UCT_CHECK(uct_stats(t).zero_copy_copied >= 1);
    } else {
        UCT_CHECK(status_of(sink).zero_copy == UC_ZERO_COPY_UNSUPPORTED);
    }
    UCT_CHECK(uc_fd_close(sink->fd, 0) == 0);
    UCT_UNTIL(t, sink->closed);
    UCT_CHECK(uct_close(t));
    return 0;
}

static int link_up(pid_t peer, int from_peer, int to_peer)
{
    char command[300], byte = 0;

    if (read(from_peer, &byte, 1) != 1)
        return CANNOT;
    snprintf(command, sizeof(command),
             "ip link add name uc_ours type veth peer name uc_theirs && "
             "ip link set uc_theirs netns %d && ip addr add " OURS "/24 dev uc_ours && "
             "ip link set uc_ours up",
             (int)peer);
    if (!run(command) || write(to_peer, &byte, 1) != 1 || read(from_peer, &byte, 1) != 1)
        return CANNOT;
    return 0;
}

static int two_machines(void *argument)
{
    int to_peer[2], from_peer[2], status, r;
    pid_t peer;

    (void)argument;
    UCT_CHECK(pipe(to_peer) == 0 && pipe(from_peer) == 0);
    if (unshare(CLONE_NEWNET) < 0)
        return CANNOT;
    peer = fork();
    UCT_CHECK(peer >= 0);
    if (peer == 0) {
        close(to_peer[1]);
        _exit(be_the_peer(to_peer[0], from_peer[1]));
    }
    close(from_peer[1]);
    r = link_up(peer, from_peer[0], to_peer[1]);
    if (r == 0)
        r = send_to_peer();
    if (r)
        kill(peer, SIGKILL);
    UCT_CHECK(waitpid(peer, &status, 0) == peer);
    if (r == 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
        r = __LINE__;
    if (r && r != CANNOT)
        fprintf(stderr, "line %d, the peer's status %d\n", r, status);
    return r;
}

/* As uct_in_child(), but it tells what cannot be had from what went wrong. */
static int in_child(void)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        alarm((unsigned)(2 * uct_deadline_ms() / 1000));
        status = two_machines(NULL);
        _exit(status == CANNOT ? CANNOT : status != 0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_pair_of_virtual_cards_is_tried_once_and_then_left_alone(void **state)
{
    int r;

    (void)state;
    if (geteuid() != 0) {
        print_message("only root makes network namespaces\n");
        skip();
    }
    r = in_child();
    if (r == CANNOT) {
        print_message("there is no ip(8), or no veth, or no network namespace here\n");
        skip();
    }
    assert_int_equal(r, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_of_virtual_cards_is_tried_once_and_then_left_alone),
    };

    return UCT_RUN("zero copy over veth", tests);
}
