/* One-shot operations on files, and timers. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <uc/file.h>

#include "flow/flow.h"
#include "support.h"

static int file(struct uct *t)
{
    return uct_peer(t, memfd_create("operations", MFD_CLOEXEC));
}

static void a_nop_comes_back_with_its_cookie(void **state)
{
    struct uct *t = *state;
    uint64_t op = 0, other = 0;

    assert_int_equal(uc_op_nop(t->ring, UINT64_MAX, &op), 0);
    assert_true(op != 0);
    assert_int_equal(uct_outcome(t, UINT64_MAX), 0);
    assert_int_equal(uc_op_nop(t->ring, 0, NULL), 0);
    assert_int_equal(uct_outcome(t, 0), 0);
    assert_int_equal(uc_op_nop(t->ring, 7, &other), 0);
    assert_true(op != other);
    assert_int_equal(uct_outcome(t, 7), 0);
}

static void a_file_is_written_read_and_synced(void **state)
{
    struct uct *t = *state;
    int fd = file(t);
    static uint8_t out[100000], in[100000];

    uct_pattern(5, 0, out, sizeof(out));
    assert_int_equal(uc_op_write(t->ring, fd, out, sizeof(out), 0, 1, NULL), 0);
    assert_int_equal(uct_outcome(t, 1), sizeof(out));
    assert_int_equal(uc_op_fsync(t->ring, fd, 0, 2, NULL), 0);
    assert_int_equal(uct_outcome(t, 2), 0);
    assert_int_equal(uc_op_fsync(t->ring, fd, UC_FSYNC_DATA, 2, NULL), 0);
    assert_int_equal(uct_outcome(t, 2), 0);
    assert_int_equal(uc_op_read(t->ring, fd, in, sizeof(in), 0, 3, NULL), 0);
    assert_int_equal(uct_outcome(t, 3), sizeof(in));
    assert_memory_equal(in, out, sizeof(in));
    assert_int_equal(uc_op_read(t->ring, fd, in, 10, sizeof(out) - 4, 3, NULL), 0);
    assert_int_equal(uct_outcome(t, 3), 4);
    assert_int_equal(uc_op_read(t->ring, fd, in, 10, 1 << 20, 3, NULL), 0);
    assert_int_equal(uct_outcome(t, 3), 0);
}

static void the_current_offset_is_used_and_moved(void **state)
{
    struct uct *t = *state;
    int fd = file(t);
    char in[4];

    for (int i = 0; i < 2; i++) {
        assert_int_equal(uc_op_write(t->ring, fd, "ab", 2, UC_OFFSET_CURRENT, 1, NULL), 0);
        assert_int_equal(uct_outcome(t, 1), 2);
    }
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 4);
    lseek(fd, 0, SEEK_SET);
    assert_int_equal(uc_op_read(t->ring, fd, in, 4, UC_OFFSET_CURRENT, 1, NULL), 0);
    assert_int_equal(uct_outcome(t, 1), 4);
    assert_memory_equal(in, "abab", 4);
}

static void a_file_is_opened_asked_about_and_closed(void **state)
{
    struct uct *t = *state;
    char path[] = "/proc/self/status";
    struct stat plain;
    struct statx stx;
    int fd;

    assert_int_equal(uc_op_openat(t->ring, AT_FDCWD, path, O_RDONLY, 0, 1, NULL), 0);
    memset(path, 0, sizeof(path)); /* it was copied */
    fd = uct_outcome(t, 1);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(uc_op_statx(t->ring, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx, 2, NULL),
                     0);
    assert_int_equal(uct_outcome(t, 2), 0);
    assert_int_equal(fstat(fd, &plain), 0);
    assert_int_equal(stx.stx_ino, plain.st_ino);
    assert_int_equal(uc_op_close(t->ring, fd, 3, NULL), 0);
    assert_int_equal(uct_outcome(t, 3), 0);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(uc_op_close(t->ring, fd, 3, NULL), 0);
    assert_int_equal(uct_outcome(t, 3), -EBADF);
    assert_int_equal(uc_op_openat(t->ring, AT_FDCWD, "/nowhere/at/all", O_RDONLY, 0, 1, NULL), 0);
    assert_int_equal(uct_outcome(t, 1), -ENOENT);
}

static void an_attached_descriptor_is_not_closed_behind_its_back(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);

    assert_int_equal(uc_op_close(t->ring, link.sink->number, 0, NULL), -EBUSY);
}

static void a_timeout_ends_when_its_time_has_passed(void **state)
{
    struct uct *t = *state;
    uint64_t begin = uct_now_ms();

    assert_int_equal(uc_op_timeout(t->ring, 30000000, 4, NULL), 0);
    assert_int_equal(uct_outcome(t, 4), -ETIME);
    assert_true(uct_now_ms() - begin >= 29);
    assert_int_equal(uc_op_timeout(t->ring, 0, 4, NULL), 0);
    assert_int_equal(uct_outcome(t, 4), -ETIME);
}

static void a_cancelled_operation_ends_as_cancelled(void **state)
{
    struct uct *t = *state;
    uint64_t op;
    char byte;
    int ends[2];

    assert_int_equal(uc_op_timeout(t->ring, UINT64_C(3600000000000), 4, &op), 0);
    uct_turn(t, 0);
    assert_int_equal(uc_op_cancel(t->ring, op), 0);
    assert_int_equal(uct_outcome(t, 4), -ECANCELED);
    assert_int_equal(uc_op_cancel(t->ring, op), -ESTALE);

    uct_pipe(t, ends, 0);
    assert_int_equal(uc_op_read(t->ring, ends[0], &byte, 1, UC_OFFSET_CURRENT, 5, &op), 0);
    uct_turn(t, 0);
    assert_int_equal(uc_op_cancel(t->ring, op), 0);
    assert_int_equal(uc_op_cancel(t->ring, op), 0);
    assert_int_equal(uct_outcome(t, 5), -ECANCELED);
    assert_int_equal(uc_op_cancel(t->ring, 0), -ESTALE);
    assert_int_equal(uc_op_cancel(t->ring, UINT64_MAX), -ESTALE);
}

static void many_at_once_all_come_back(void **state)
{
    struct uct *t = *state;
    uint64_t sum = 0;
    uint32_t records = 0;

    for (uint64_t i = 0; i < 5000; i++)
        assert_int_equal(uc_op_nop(t->ring, i, NULL), 0);
    while (records < 5000) {
        int n = uc_ring_wait(t->ring, t->events, t->max_events, 1000000000);

        assert_true(n > 0);
        for (int i = 0; i < n; i++, records++)
            sum += t->events[i].cookie;
    }
    assert_int_equal(sum, 5000 * 4999 / 2);
}

static void a_registered_pool_reads_and_writes_without_mapping(void **state)
{
    struct uct *t = *state;
    struct uc_ring_info info = uct_info(t->ring);
    struct uc_probe probe = {.size = sizeof(probe)};
    struct uc_lease lease;
    int fd = file(t);
    uint8_t *memory;
    bool expected;

    assert_int_equal(uc_probe(&probe), 0);
    expected = uct_is_uring(t) && !(probe.features_off & UC_FEATURE_REGISTERED_BUFFERS);
    assert_int_equal((info.features & UC_FEATURE_REGISTERED_BUFFERS) != 0, expected);
    /* What else is missing depends on the kernel. */
    assert_int_equal(strstr(info.reason, "not registered") == NULL, uct_is_uring(t));
    assert_false(info.features_stripped & UC_FEATURE_REGISTERED_BUFFERS);
    assert_int_equal(uc_pool_lease(t->pool, &lease), 0);
    memory = (uint8_t *)uc_pool_base(t->pool) + lease.offset;
    uct_pattern(2, 0, memory, lease.capacity);
    assert_int_equal(uc_op_write(t->ring, fd, memory, (uint32_t)lease.capacity, 0, 1, NULL), 0);
    assert_int_equal(uct_outcome(t, 1), lease.capacity);
    memset(memory, 0, lease.capacity);
    assert_int_equal(uc_op_read(t->ring, fd, memory, (uint32_t)lease.capacity, 0, 1, NULL), 0);
    assert_int_equal(uct_outcome(t, 1), lease.capacity);
    assert_true(uct_matches(2, 0, memory, lease.capacity));
    assert_int_equal(uc_pool_release(t->pool, lease.token), 0);
}

static void bad_input_is_refused(void **state)
{
    struct uct *t = *state;
    uint64_t op = 42;
    struct statx stx;
    char byte;
    const uint32_t too_much = (UINT32_C(1) << 31) - 4095;

    assert_int_equal(uc_op_read(t->ring, 0, NULL, 1, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_read(t->ring, 0, &byte, 0, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_read(t->ring, 0, &byte, too_much, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_read(t->ring, -1, &byte, 1, 0, 0, &op), -EBADF);
    assert_int_equal(uc_op_write(t->ring, 0, NULL, 1, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_write(t->ring, 0, &byte, 0, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_write(t->ring, 0, &byte, too_much, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_write(t->ring, -1, &byte, 1, 0, 0, &op), -EBADF);
    assert_int_equal(uc_op_fsync(t->ring, 0, 2, 0, &op), -EINVAL);
    assert_int_equal(uc_op_fsync(t->ring, -1, 0, 0, &op), -EBADF);
    assert_int_equal(uc_op_openat(t->ring, AT_FDCWD, NULL, 0, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_close(t->ring, -1, 0, &op), -EBADF);
    assert_int_equal(uc_op_statx(t->ring, AT_FDCWD, NULL, 0, 0, &stx, 0, &op), -EINVAL);
    assert_int_equal(uc_op_statx(t->ring, AT_FDCWD, "/", 0, 0, NULL, 0, &op), -EINVAL);
    assert_int_equal(uct_stats(t).submissions, 0);
    assert_int_equal(op, 42);
    for (int i = 0; i < 4; i++) {
        static const int numbers[] = {12345, 65536, 1 << 24, INT32_MAX};

        assert_int_equal(uc_op_read(t->ring, numbers[i], &byte, 1, 0, 9, &op), 0);
        assert_int_equal(uct_outcome(t, 9), -EBADF);
        assert_int_equal(uc_op_write(t->ring, numbers[i], &byte, 1, 0, 9, &op), 0);
        assert_int_equal(uct_outcome(t, 9), -EBADF);
    }
}

/* Tear-down counts descriptors: what was opened for nobody must be closed. */
static void what_is_opened_while_the_ring_is_freed_is_closed(void **state)
{
    struct uct *t = *state;

    for (int i = 0; i < 10; i++)
        assert_int_equal(uc_op_openat(t->ring, AT_FDCWD, "/", O_RDONLY, 0, 1, NULL), 0);
    t->ring = uc_ring_free(t->ring);
}

static void what_was_opened_and_not_yet_taken_is_closed_with_the_ring(void **state)
{
    struct uct *t = *state;

    for (int i = 0; i < 10; i++)
        assert_int_equal(uc_op_openat(t->ring, AT_FDCWD, "/", O_RDONLY, 0, 1, NULL), 0);
    assert_int_equal(uc_ring_flush(t->ring), 0);
    t->ring = uc_ring_free(t->ring);
}

/* A cancellation's completion that no kernel has made; it is accounted for like one. */
static void make_up(struct uct *t, const struct uci_completion *completion)
{
    t->ring->outstanding++;
    t->ring->stats.submissions++;
    uci_flow_complete(t->ring, completion);
}

/* As Linux 6.1 says while it hands an operation to a worker. */
static void a_cancellation_that_found_nothing_is_asked_again_until_the_end(void **state)
{
    struct uct *t = *state;
    struct uci_completion nowhere = {.result = -ENOENT};
    uint64_t op, submissions;

    assert_int_equal(uc_op_timeout(t->ring, UINT64_C(60000000000), 7, &op), 0);
    uct_turn(t, 0);
    nowhere.user_data =
        uci_user_data(UCI_KIND_CANCEL_SLOT, uci_user_data_generation(op), uci_user_data_index(op));
    make_up(t, &nowhere);
    assert_int_equal(uct_outcome(t, 7), -ECANCELED);
    UCT_UNTIL(t, uct_stats(t).in_flight == 0);
    submissions = uct_stats(t).submissions;
    make_up(t, &nowhere);
    assert_int_equal(uct_stats(t).submissions, submissions + 1);
}

/* As every kernel says while a disk is at it: here of an operation that no kernel has seen. */
static void what_is_found_nowhere_for_long_does_not_keep_the_ring_busy(void **state)
{
    struct uct *t = *state;
    struct uci_slot *slot;
    struct uci_completion end = {.result = 5};
    uint64_t op, begin = uct_now_ms(), before;

    assert_int_equal(uci_slot_take(&t->ring->slots, UCI_KIND_NOP, 7, &slot), 0);
    end.user_data = op = uci_user_data(UCI_KIND_NOP, slot->generation, slot->index);
    before = uct_stats(t).submissions;
    assert_int_equal(uc_op_set_deadline(t->ring, op, 0), 0);
    UCT_UNTIL(t, uct_now_ms() - begin > 50);
    assert_in_range(uct_stats(t).submissions - before, 3, 16);
    assert_int_equal(uc_op_set_deadline(t->ring, op, 0), -EALREADY);
    make_up(t, &end);
    assert_int_equal(uct_outcome(t, 7), 5);
    UCT_UNTIL(t, uct_stats(t).in_flight == 0);
}

int main(void)
{
    static const struct uct_options registered = {
        .pool = {.buffer_bytes = 65536, .buffer_count = 4, .flags = UC_POOL_REGISTER},
    };
    const struct CMUnitTest tests[] = {
        UCT(a_nop_comes_back_with_its_cookie),
        UCT(a_file_is_written_read_and_synced),
        UCT(the_current_offset_is_used_and_moved),
        UCT(a_file_is_opened_asked_about_and_closed),
        UCT(an_attached_descriptor_is_not_closed_behind_its_back),
        UCT(a_timeout_ends_when_its_time_has_passed),
        UCT(a_cancelled_operation_ends_as_cancelled),
        UCT(many_at_once_all_come_back),
        UCT_WITH(a_registered_pool_reads_and_writes_without_mapping, "", &registered),
        UCT(bad_input_is_refused),
        UCT(what_is_opened_while_the_ring_is_freed_is_closed),
        UCT(what_was_opened_and_not_yet_taken_is_closed_with_the_ring),
        UCT(a_cancellation_that_found_nothing_is_asked_again_until_the_end),
        UCT(what_is_found_nowhere_for_long_does_not_keep_the_ring_busy),
    };

    return UCT_RUN("operations", tests);
}
