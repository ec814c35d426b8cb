/* With a kernel thread that submits: no operation reaches a stranger, and nothing gets stuck. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

#define ROUNDS 100000
#define BATCH 20 /* of them share a flush: under load each flush waits for the kernel thread */

static const struct uct_options thread = {.ring = {.sqpoll = UC_SQPOLL_TRY, .sqpoll_idle_ms = 100}};
static const struct uct_options sleepy = {.ring = {.sqpoll = UC_SQPOLL_TRY, .sqpoll_idle_ms = 1}};
static const struct uct_options tiny = {
    .ring = {.sqpoll = UC_SQPOLL_TRY, .sqpoll_idle_ms = 100, .sq_entries = 4, .cq_entries = 8}};

static void skip_without_sqpoll(struct uct *t)
{
    if (uct_info(t->ring).features & UC_FEATURE_SQPOLL)
        return;
    print_message("SQPOLL is refused here\n");
    skip();
}

static uint64_t size_of(int fd)
{
    struct stat status;

    assert_int_equal(fstat(fd, &status), 0);
    return (uint64_t)status.st_size;
}

/* Writes, flushed; then their numbers are another file's. In the order without the flush every
 * write goes into that one. */
static void a_number_closed_after_a_flush_reaches_no_other_file(void **state)
{
    struct uct *t = *state;
    int right = uct_peer(t, memfd_create("right", MFD_CLOEXEC));
    int wrong = uct_peer(t, memfd_create("wrong", MFD_CLOEXEC));
    uint64_t tags[BATCH], seen;
    int numbers[BATCH];

    skip_without_sqpoll(t);
    for (uint64_t i = 0; i < BATCH; i++)
        numbers[i] = uct_peer(t, dup(wrong));
    for (uint64_t first = 0; first < ROUNDS; first += BATCH) {
        for (uint64_t i = 0; i < BATCH; i++) {
            tags[i] = first + i;
            assert_int_equal(dup2(right, numbers[i]), numbers[i]);
            assert_int_equal(uc_op_write(t->ring, numbers[i], &tags[i], sizeof(*tags),
                                         tags[i] * sizeof(*tags), 0, NULL),
                             0);
        }
        assert_int_equal(uc_ring_flush(t->ring), 0);
        for (uint64_t i = 0; i < BATCH; i++)
            assert_int_equal(dup2(wrong, numbers[i]), numbers[i]);
        UCT_UNTIL(t, t->operations == first + BATCH);
    }
    assert_int_equal(size_of(wrong), 0);
    assert_int_equal(size_of(right), ROUNDS * sizeof(*tags));
    for (uint64_t i = 0; i < ROUNDS; i++) {
        assert_int_equal(pread(right, &seen, sizeof(seen), (off_t)(i * sizeof(seen))),
                         sizeof(seen));
        assert_int_equal(seen, i);
    }
}

static int unread(int fd)
{
    int bytes = -1;

    assert_int_equal(ioctl(fd, FIONREAD, &bytes), 0);
    return bytes;
}

/* Two pairs of sockets: ours, and one with something to read that nobody is to take. */
struct strangers {
    int ours[2], theirs[2];
};

static struct strangers make_strangers(struct uct *t)
{
    struct strangers made;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, made.ours), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, made.theirs), 0);
    for (int i = 0; i < 2; i++) {
        uct_peer(t, made.ours[i]);
        uct_peer(t, made.theirs[i]);
    }
    assert_int_equal(write(made.theirs[1], "stranger", 8), 8);
    return made;
}

/* -EAGAIN: the kernel thread found no CPU in time; UC_EVENT_CLOSED will tell. */
static bool was_closed(int r)
{
    return r == 0 || r == -EAGAIN;
}

static bool are_closed(struct uct_sink *const *sinks)
{
    for (int i = 0; i < BATCH; i++)
        if (!sinks[i]->closed)
            return false;
    return true;
}

static void take_number(const struct strangers *made, int number)
{
    assert_int_equal(dup3(made->theirs[0], number, O_CLOEXEC), number);
}

static void give_numbers_back(const struct strangers *made, const int *numbers)
{
    assert_int_equal(unread(made->theirs[0]), 8);
    assert_int_equal(unread(made->theirs[1]), 0);
    for (int i = 0; i < BATCH; i++)
        close(numbers[i]);
}

/* Receives and sends of descriptors that are closed at once, and whose numbers are at once those of
 * a socket with something to read: after a close that waits when it returns, else when its record
 * has come. */
static void a_closed_descriptor_reaches_no_stranger_of_its_number(void **state)
{
    static const uint32_t how[] = {UC_CLOSE_ABORT | UC_CLOSE_NOW,
                                   UC_CLOSE_ABORT | UC_CLOSE_NOW | UC_CLOSE_KEEP, UC_CLOSE_ABORT};
    struct uct *t = *state;
    struct strangers made = make_strangers(t);
    struct uct_sink *sinks[BATCH];
    int numbers[BATCH];
    bool is_taken[BATCH];
    char bytes[64];

    skip_without_sqpoll(t);
    for (uint32_t round = 0; round < ROUNDS / BATCH; round++) {
        uint32_t flags = how[round % 3];

        for (int i = 0; i < BATCH; i++) {
            numbers[i] = dup(made.ours[0]);
            sinks[i] = uct_attach(t, numbers[i], NULL);
            assert_int_equal(uc_fd_recv_start(sinks[i]->fd), 0);
            assert_true(uc_fd_send(sinks[i]->fd, "x", 1, 0) > 0);
        }
        if (round % 5 < 2)
            uct_turn(t, 0);
        for (int i = 0; i < BATCH; i++) {
            int r = uc_fd_close(sinks[i]->fd, flags);

            assert_true(was_closed(r));
            is_taken[i] = r == 0 && (flags & UC_CLOSE_NOW);
            if (is_taken[i])
                take_number(&made, numbers[i]);
        }
        UCT_TURNS(t, 1000000, are_closed(sinks));
        for (int i = 0; i < BATCH; i++) {
            uct_forget(t, sinks[i]);
            if (!is_taken[i])
                take_number(&made, numbers[i]);
        }
        give_numbers_back(&made, numbers);
        while (recv(made.ours[1], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
            ;
    }
    assert_int_equal(uct_stats(t).stale, 0);
}

/* As when the handle is given up, and the descriptor with it. */
static void a_descriptor_given_back_reaches_no_stranger_of_its_number(void **state)
{
    struct uct *t = *state;
    struct strangers made = make_strangers(t);
    struct uct_sink *sinks[BATCH];
    int numbers[BATCH];

    skip_without_sqpoll(t);
    for (uint32_t round = 0; round < ROUNDS / BATCH / 10; round++) {
        for (int i = 0; i < BATCH; i++) {
            numbers[i] = dup(made.ours[0]);
            sinks[i] = uct_attach(t, numbers[i], NULL);
            assert_int_equal(uc_fd_recv_start(sinks[i]->fd), 0);
        }
        uct_turn(t, 1);
        for (int i = 0; i < BATCH; i++) {
            uct_forget(t, sinks[i]);
            take_number(&made, numbers[i]);
        }
        UCT_TURNS(t, 0, uct_stats(t).attached == 0);
        give_numbers_back(&made, numbers);
    }
}

/* A loop that always has something else to do asks without waiting. */
static void completions_that_found_no_room_come_without_a_wait(void **state)
{
    struct uct *t = *state;

    skip_without_sqpoll(t);
    for (uint64_t i = 0; i < 200; i++)
        assert_int_equal(uc_op_nop(t->ring, i, NULL), 0);
    assert_int_equal(uc_ring_flush(t->ring), 0);
    UCT_TURNS(t, 0, t->operations == 200);
    assert_true(uct_stats(t).overflows > 0);
}

static void a_thread_that_sleeps_is_woken(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0, written = 0, seen = 0;
    uint8_t byte;

    skip_without_sqpoll(t);
    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(uc_op_timeout(t->ring, 3000000, 0, NULL), 0);
        uct_outcome(t, 0); /* meanwhile it falls asleep */
        uct_pattern(1, written++, &byte, 1);
        assert_true(uc_fd_send(link.sink->fd, &byte, 1, 0) > 0);
        uct_write_all(link.peer, 0, &sent, 10);
        UCT_PUMP(t, uct_read_some(link.peer, 1, &seen),
                 seen == written && link.sink->received == sent);
    }
}

static void *take_over(void *argument)
{
    struct uct *t = argument;

    return (void *)(intptr_t)uc_ring_enable(t->ring);
}

static void move(struct uct *t)
{
    pthread_t other;
    void *r;

    assert_int_equal(pthread_create(&other, NULL, take_over, t), 0);
    assert_int_equal(pthread_join(other, &r), 0);
    assert_int_equal((intptr_t)r, 0);
    assert_int_equal(uc_ring_enable(t->ring), 0);
}

/* What the thread has not taken when the ring moves has done nothing, and that is told. */
static void what_was_not_taken_ends_or_goes_on_when_the_ring_moves(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t written = 0, seen = 0;
    uint8_t byte;

    skip_without_sqpoll(t);
    if (!uct_moves_whole(t))
        skip();
    for (uint32_t round = 1; round <= 10; round++) {
        uct_pattern(1, written++, &byte, 1);
        assert_true(uc_fd_send(link.sink->fd, &byte, 1, 0) > 0);
        uct_turn(t, 0);
        assert_int_equal(uc_op_timeout(t->ring, UINT64_C(3600) * 1000000000, 0, NULL), 0);
        move(t);
        assert_int_equal(uct_outcome(t, 0), -ECANCELED);
        UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), seen == written);
        assert_int_equal(link.sink->failed, 0);
    }
}

/* The CPUs of the kernel thread, as /proc writes them; "" when there is none. */
static void cpus_of_thread(char *cpus, size_t bytes)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    char path[300], line[128];
    bool is_it;

    assert_non_null(tasks);
    cpus[0] = 0;
    while ((entry = readdir(tasks))) {
        FILE *file;

        snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
        file = fopen(path, "re");
        is_it = file && fgets(line, sizeof(line), file) && strstr(line, "iou-sqp");
        while (is_it && fgets(line, sizeof(line), file))
            if (strncmp(line, "Cpus_allowed_list:", 18) == 0)
                snprintf(cpus, bytes, "%s", line + 18 + strspn(line + 18, " \t"));
        if (file)
            fclose(file);
    }
    closedir(tasks);
    cpus[strcspn(cpus, "\n")] = 0;
}

static uint32_t last_cpu(void)
{
    cpu_set_t set;
    uint32_t last = 0;

    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set))
            last = cpu;
    return last;
}

static void the_thread_stays_on_its_cpu_also_when_the_ring_moves(void **state)
{
    struct uct_options options = {.ring = {.sqpoll = UC_SQPOLL_TRY, .sqpoll_idle_ms = 100}};
    char expected[16], cpus[128];
    struct uct *t;

    (void)state;
    options.ring.sqpoll_cpu = last_cpu() + 1;
    snprintf(expected, sizeof(expected), "%u", last_cpu());
    t = uct_open(&options);
    if (uct_info(t->ring).features & UC_FEATURE_SQPOLL) {
        for (int i = 0; i < 2; i++) {
            assert_int_equal(uc_op_nop(t->ring, 0, NULL), 0);
            assert_int_equal(uct_outcome(t, 0), 0);
            cpus_of_thread(cpus, sizeof(cpus));
            assert_string_equal(cpus, expected);
            assert_int_equal(uct_info(t->ring).sqpoll_cpu, last_cpu() + 1);
            assert_null(strstr(uct_info(t->ring).reason, "CPU"));
            move(t);
        }
    }
    assert_true(uct_close(t));
}

static void a_cpu_that_is_refused_is_told_or_an_error(void **state)
{
    struct uc_ring_options options = {
        .size = sizeof(options), .sqpoll = UC_SQPOLL_TRY, .sqpoll_cpu = UINT32_MAX};
    struct uc_ring_info info, usual;
    uc_ring *ring = NULL;

    (void)state;
    assert_int_equal(uc_ring_new(&options, &ring), 0);
    info = uct_info(ring);
    uc_ring_free(ring);
    options.sqpoll_cpu = 0;
    assert_int_equal(uc_ring_new(&options, &ring), 0);
    usual = uct_info(ring);
    uc_ring_free(ring);
    assert_int_equal(info.sqpoll_cpu, 0);
    assert_int_equal(info.features, usual.features);
    if (!(info.features & UC_FEATURE_SQPOLL))
        return;
    assert_non_null(strstr(info.reason, "CPU 4294967294"));
    options.sqpoll_cpu = UINT32_MAX;
    options.sqpoll = UC_SQPOLL_REQUIRE;
    ring = NULL;
    assert_int_equal(uc_ring_new(&options, &ring), -EINVAL);
    assert_null(ring);
}

/* The descriptor or the error of opening a file that is root's alone; INT32_MIN: no record. */
static int32_t open_as(uc_ring *ring, const char *path)
{
    struct uc_event event;

    if (uc_op_openat(ring, AT_FDCWD, path, O_RDONLY, 0, 0, NULL) < 0)
        return INT32_MIN;
    if (uc_ring_wait(ring, &event, 1, INT64_C(20000000000)) != 1)
        return INT32_MIN;
    return event.result;
}

static int become_somebody_else(void *argument)
{
    struct uc_ring_options with = {.size = sizeof(with), .sqpoll = UC_SQPOLL_REQUIRE},
                           without = with;
    uc_ring *before, *plain, *after;

    without.sqpoll = UC_SQPOLL_OFF;
    UCT_CHECK(uc_ring_new(&with, &before) == 0);
    UCT_CHECK(uc_ring_new(&without, &plain) == 0);
    UCT_CHECK(uct_become_nobody(UINT64_C(8) << 20));
    UCT_CHECK(open_as(plain, argument) == -EACCES);
    UCT_CHECK(open_as(before, argument) >= 0); /* still as root */
    UCT_CHECK(uc_ring_new(&with, &after) == 0);
    UCT_CHECK(open_as(after, argument) == -EACCES);
    uc_ring_free(before);
    uc_ring_free(plain);
    uc_ring_free(after);
    return 0;
}

static void after_setuid_only_a_new_ring_has_the_new_credentials(void **state)
{
    struct uct *t = *state;
    char path[] = "/tmp/uc-sqpoll-XXXXXX";
    int fd, r;

    skip_without_sqpoll(t);
    if (geteuid() != 0) {
        print_message("only root can become somebody else\n");
        skip();
    }
    fd = uct_peer(t, mkstemp(path)); /* mode 0600 */
    assert_true(fd >= 0);
    r = uct_in_child(become_somebody_else, path);
    unlink(path);
    assert_int_equal(r, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UCT_WITH(a_number_closed_after_a_flush_reaches_no_other_file, "", &thread),
        UCT_WITH(a_closed_descriptor_reaches_no_stranger_of_its_number, "", &thread),
        UCT_WITH(a_descriptor_given_back_reaches_no_stranger_of_its_number, "", &thread),
        UCT_WITH(completions_that_found_no_room_come_without_a_wait, "", &tiny),
        UCT_WITH(a_thread_that_sleeps_is_woken, "", &sleepy),
        UCT_WITH(what_was_not_taken_ends_or_goes_on_when_the_ring_moves, "", &thread),
        cmocka_unit_test(the_thread_stays_on_its_cpu_also_when_the_ring_moves),
        cmocka_unit_test(a_cpu_that_is_refused_is_told_or_an_error),
        UCT_WITH(after_setuid_only_a_new_ring_has_the_new_credentials, "", &thread),
    };

    return UCT_RUN("sqpoll", tests);
}
