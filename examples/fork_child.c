/*
 * fork() with operations in flight: the child refuses what it has inherited and makes a ring of its
 * own; the parent goes on as if nothing had happened.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <uc.h>
#include <unistd.h>

#define EVENTS 16
#define SECOND_NS INT64_C(1000000000)

static const char *process = "parent";

static int check(const char *what, int result)
{
    if (result >= 0)
        return result;
    fprintf(stderr, "fork_child: %s: %s: %s\n", process, what, uc_error_name(result));
    exit(1);
}

static void expect(const char *what, int is_true)
{
    if (is_true)
        return;
    fprintf(stderr, "fork_child: %s: expected: %s\n", process, what);
    exit(1);
}

/* Let the ring receive what the other end of a socket pair sends. Return: that end. */
static int attach_pair(uc_ring *ring, uc_fd **ret_fd)
{
    int ends[2];

    check("socketpair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : 0);
    check("uc_fd_attach", uc_fd_attach(ring, ends[0], NULL, ret_fd));
    check("uc_fd_recv_start", uc_fd_recv_start(*ret_fd));
    check("uc_ring_flush", uc_ring_flush(ring)); /* now the receive is in the kernel */
    return ends[1];
}

/* Send @text from @peer and see it come out of the ring. */
static void receive(uc_ring *ring, int peer, const char *text)
{
    const uint8_t *memory = uc_pool_base(uc_ring_pool(ring));
    size_t bytes = strlen(text), received = 0;
    struct uc_event events[EVENTS];
    int n;

    expect("a whole write", write(peer, text, bytes) == (ssize_t)bytes);
    while (received < bytes) {
        n = uc_ring_wait(ring, events, EVENTS, 5 * SECOND_NS);
        if (n == -EINTR)
            continue;
        expect("data within five seconds", check("uc_ring_wait", n) > 0);
        for (int i = 0; i < n; i++) {
            if (events[i].kind != UC_EVENT_RECV)
                continue;
            expect("bytes", events[i].result > 0);
            expect("what was sent", (size_t)events[i].result <= bytes - received &&
                                        !memcmp(memory + events[i].offset, text + received,
                                                (size_t)events[i].result));
            received += (size_t)events[i].result;
        }
    }
}

static void close_and_free(uc_ring *ring, uc_fd *fd)
{
    struct uc_event event = {0};
    int n;

    check("uc_fd_close", uc_fd_close(fd, 0));
    while (event.kind != UC_EVENT_CLOSED) {
        n = uc_ring_wait(ring, &event, 1, 5 * SECOND_NS);
        expect("a close within five seconds", n > 0 || n == -EINTR);
    }
    uc_fd_free(fd);
    uc_ring_free(ring);
}

static int child(uc_ring *inherited, uc_fd *inherited_fd)
{
    struct uc_event events[EVENTS];
    uc_ring *ring;
    uc_fd *fd;
    int peer;

    process = "child";
    expect("-ECHILD from the ring", uc_ring_wait(inherited, events, EVENTS, 0) == -ECHILD);
    expect("-ECHILD from the descriptor", uc_fd_close(inherited_fd, 0) == -ECHILD);
    uc_fd_free(inherited_fd); /* the child's memory; the parent's operations stay what they are */
    uc_ring_free(inherited);

    check("uc_ring_new", uc_ring_new(NULL, &ring));
    peer = attach_pair(ring, &fd);
    receive(ring, peer, "a ring of the child's own");
    close_and_free(ring, fd);
    close(peer);
    return 0;
}

int main(void)
{
    uc_ring *ring;
    uc_fd *fd;
    int peer, status;
    pid_t pid;

    check("uc_ring_new", uc_ring_new(NULL, &ring));
    peer = attach_pair(ring, &fd);
    pid = fork();
    check("fork", pid < 0 ? -errno : 0);
    if (pid == 0)
        return child(ring, fd);
    while (waitpid(pid, &status, 0) < 0)
        check("waitpid", errno == EINTR ? 0 : -errno);
    expect("a child that ended well", WIFEXITED(status) && WEXITSTATUS(status) == 0);
    receive(ring, peer, "the parent's receive, in flight since before the fork");
    close_and_free(ring, fd);
    close(peer);
    printf("child and parent both received\n");
    return 0;
}
