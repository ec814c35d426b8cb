/* Splicing: bytes that do not pass through the program. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

#define CURRENT UC_OFFSET_CURRENT
#define PIPE_BYTES 65536u

static int32_t splice_once(struct uct *t, int in, uint64_t offset_in, int out, uint64_t offset_out,
                           uint32_t bytes, uint32_t flags)
{
    assert_int_equal(uc_op_splice(t->ring, in, offset_in, out, offset_out, bytes, flags, 3, NULL),
                     0);
    return uct_outcome(t, 3);
}

static int file_of(struct uct *t, uint64_t seed, uint32_t bytes)
{
    static uint8_t pattern[1000000];
    int fd = uct_peer(t, memfd_create("splice", MFD_CLOEXEC));

    assert_true(bytes <= sizeof(pattern));
    uct_pattern(seed, 0, pattern, bytes);
    assert_int_equal(pwrite(fd, pattern, bytes, 0), bytes);
    return fd;
}

static void fill_pipe(const int ends[2])
{
    static const uint8_t zeros[PIPE_BYTES];

    assert_int_equal(fcntl(ends[1], F_GETPIPE_SZ), PIPE_BYTES);
    assert_int_equal(write(ends[1], zeros, PIPE_BYTES), PIPE_BYTES);
}

/* A connection whose pair[0] takes nothing more; *position tells how much it took. Up to Linux 6.4
 * a splice hands pages over, which are hung onto what waits already: then there is room for some
 * although write() has found none. */
static void full_pair(struct uct *t, int pair[2], uint64_t *position)
{
    uint8_t piece[100];
    int ends[2], moved;

    *position = 0;
    uct_pipe(t, ends, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    uct_peer(t, pair[0]);
    uct_peer(t, pair[1]);
    assert_true(uct_write_some(pair[0], 0, position, UINT64_MAX));
    do {
        uct_pattern(0, *position, piece, sizeof(piece));
        assert_int_equal(write(ends[1], piece, sizeof(piece)), sizeof(piece));
        moved = splice_once(t, ends[0], CURRENT, pair[0], CURRENT, sizeof(piece), 0);
        assert_true(moved == sizeof(piece) || moved == -EAGAIN);
        *position += moved > 0 ? sizeof(piece) : 0;
    } while (moved > 0);
}

static void a_file_travels_through_a_pipe_to_a_socket(void **state)
{
    struct uct *t = *state;
    const uint32_t total = 1000000;
    int file = file_of(t, 6, total), pair[2], ends[2];
    uint64_t seen = 0;

    uct_pipe(t, ends, 0);
    uct_tcp_pair(pair, 0);
    uct_peer(t, pair[0]);
    uct_peer(t, pair[1]);
    for (uint64_t read = 0; read < total;) {
        int32_t inside = splice_once(t, file, read, ends[1], CURRENT, total, 0);

        assert_true(inside > 0);
        read += (uint64_t)inside;
        while (inside) {
            int32_t sent = splice_once(t, ends[0], CURRENT, pair[0], CURRENT, (uint32_t)inside,
                                       read < total ? UC_SPLICE_MORE : 0);

            assert_true(sent > 0 || sent == -EAGAIN);
            if (sent > 0)
                inside -= sent;
            assert_true(uct_read_some(pair[1], 6, &seen));
        }
    }
    UCT_PUMP(t, uct_read_some(pair[1], 6, &seen), seen == total);
    assert_int_equal(splice_once(t, file, total, ends[1], CURRENT, 1, 0), 0);
    assert_int_equal(lseek(file, 0, SEEK_CUR), 0);
}

static void offsets_are_used_on_either_side_and_the_current_one_moves(void **state)
{
    struct uct *t = *state;
    int from = file_of(t, 1, 5000), to = file_of(t, 2, 5000), ends[2];
    uint8_t bytes[5000];

    uct_pipe(t, ends, 0);
    assert_int_equal(splice_once(t, from, 1000, ends[1], CURRENT, 500, 0), 500);
    assert_int_equal(splice_once(t, ends[0], CURRENT, to, 3000, 500, 0), 500);
    assert_int_equal(pread(to, bytes, sizeof(bytes), 0), sizeof(bytes));
    assert_true(uct_matches(2, 0, bytes, 3000));
    assert_true(uct_matches(1, 1000, bytes + 3000, 500));
    assert_true(uct_matches(2, 3500, bytes + 3500, 1500));
    assert_int_equal(lseek(from, 4000, SEEK_SET), 4000);
    assert_int_equal(splice_once(t, from, CURRENT, ends[1], CURRENT, 5000, 0), 1000);
    assert_int_equal(lseek(from, 0, SEEK_CUR), 5000);
    assert_int_equal(read(ends[0], bytes, sizeof(bytes)), 1000);
    assert_true(uct_matches(1, 4000, bytes, 1000));
}

static void the_end_of_a_pipe_is_nought(void **state)
{
    struct uct *t = *state;
    int from[2], to[2];

    uct_pipe(t, from, 0);
    uct_pipe(t, to, 0);
    assert_int_equal(write(from[1], "last", 4), 4);
    uct_peer_close(t, from[1]);
    assert_int_equal(splice_once(t, from[0], CURRENT, to[1], CURRENT, 100, 0), 4);
    assert_int_equal(splice_once(t, from[0], CURRENT, to[1], CURRENT, 100, 0), 0);
}

static void a_non_blocking_socket_that_is_full_answers_eagain_and_loses_nothing(void **state)
{
    struct uct *t = *state;
    static uint8_t bytes[1000];
    uint64_t position, seen = 0;
    int pair[2], ends[2];

    uct_pipe(t, ends, 0);
    full_pair(t, pair, &position);
    uct_pattern(0, position, bytes, sizeof(bytes));
    assert_int_equal(write(ends[1], bytes, sizeof(bytes)), sizeof(bytes));
    assert_int_equal(splice_once(t, ends[0], CURRENT, pair[0], CURRENT, 1000, 0), -EAGAIN);
    UCT_PUMP(t, uct_read_some(pair[1], 0, &seen), seen == position);
    assert_int_equal(splice_once(t, ends[0], CURRENT, pair[0], CURRENT, 1000, 0), 1000);
    UCT_PUMP(t, uct_read_some(pair[1], 0, &seen), seen == position + 1000);
    assert_int_equal(splice_once(t, pair[1], CURRENT, ends[1], CURRENT, 1000, 0), -EAGAIN);
}

static void a_blocking_socket_is_waited_for_whatever_the_flags_say(void **state)
{
    struct uct *t = *state;
    static uint8_t bytes[1000];
    uint64_t position, seen = 0;
    uint32_t before;
    int pair[2], ends[2];

    uct_pipe(t, ends, O_NONBLOCK);
    full_pair(t, pair, &position);
    before = t->operations;
    assert_int_equal(fcntl(pair[0], F_SETFL, 0), 0);
    uct_pattern(0, position, bytes, sizeof(bytes));
    assert_int_equal(write(ends[1], bytes, sizeof(bytes)), sizeof(bytes));
    assert_int_equal(uc_op_splice(t->ring, ends[0], CURRENT, pair[0], CURRENT, 1000,
                                  UC_SPLICE_NONBLOCK, 3, NULL),
                     0);
    UCT_PUMP(t, uct_read_some(pair[1], 0, &seen), seen == position + 1000);
    UCT_UNTIL(t, t->operations > before);
    assert_int_equal(t->operations, before + 1);
    assert_int_equal(t->operation_result, 1000);
}

static void a_pipe_is_not_waited_for_when_it_or_the_flag_says_so(void **state)
{
    struct uct *t = *state;
    int file = file_of(t, 0, 100), pair[2];

    uct_tcp_pair(pair, 0);
    uct_peer(t, pair[0]);
    uct_peer(t, pair[1]);
    for (int by_flag = 0; by_flag < 2; by_flag++) {
        uint32_t flags = by_flag ? UC_SPLICE_NONBLOCK : 0;
        int ends[2];

        uct_pipe(t, ends, by_flag ? 0 : O_NONBLOCK);
        assert_int_equal(splice_once(t, ends[0], CURRENT, pair[0], CURRENT, 10, flags), -EAGAIN);
        fill_pipe(ends);
        assert_int_equal(splice_once(t, file, 0, ends[1], CURRENT, 10, flags), -EAGAIN);
    }
}

/* A splice that waits for bytes, for room, for a connection. */
static void a_splice_that_waits_can_be_cancelled(void **state)
{
    struct uct *t = *state;
    int empty[2], full[2], other[2], file = file_of(t, 0, 100), pair[2];
    uint64_t position, op;

    uct_pipe(t, empty, 0);
    uct_pipe(t, full, 0);
    uct_pipe(t, other, 0);
    fill_pipe(full);
    full_pair(t, pair, &position);
    assert_int_equal(fcntl(pair[0], F_SETFL, 0), 0);
    for (int round = 0; round < 60; round++) {
        int in = round % 3 == 0 ? empty[0] : round % 3 == 1 ? file : full[0];
        int out = round % 3 == 0 ? other[1] : round % 3 == 1 ? full[1] : pair[0];

        assert_int_equal(
            uc_op_splice(t->ring, in, in == file ? 0 : CURRENT, out, CURRENT, 100, 0, 3, &op), 0);
        /* At once, when the kernel has it, and when it has had time to begin waiting. */
        if (round % 4)
            assert_int_equal(uct_turn(t, round % 4 * 500000), 0);
        assert_int_equal(uc_op_cancel(t->ring, op), 0);
        assert_int_equal(uct_outcome(t, 3), -ECANCELED);
        assert_int_equal(uc_op_cancel(t->ring, op), -ESTALE);
        UCT_UNTIL(t, uct_stats(t).in_flight == 0);
    }
    assert_int_equal(ioctl(full[0], FIONREAD, &file), 0);
    assert_int_equal(file, PIPE_BYTES);
}

static void what_was_moved_before_the_cancellation_counts(void **state)
{
    struct uct *t = *state;
    int pair[2], ends[2], waiting = 0, left;
    uint64_t op, seen = 0;
    uint8_t pattern[PIPE_BYTES];
    int32_t moved;

    uct_pipe(t, ends, 0);
    uct_tcp_pair(pair, 4096);
    uct_peer(t, pair[0]);
    uct_peer(t, pair[1]);
    assert_int_equal(fcntl(pair[0], F_SETFL, 0), 0);
    uct_pattern(0, 0, pattern, sizeof(pattern));
    assert_int_equal(write(ends[1], pattern, PIPE_BYTES), PIPE_BYTES);
    assert_int_equal(
        uc_op_splice(t->ring, ends[0], CURRENT, pair[0], CURRENT, PIPE_BYTES, 0, 3, &op), 0);
    UCT_PUMP(t, assert_int_equal(ioctl(pair[1], FIONREAD, &waiting), 0), waiting);
    assert_int_equal(uc_op_cancel(t->ring, op), 0);
    moved = uct_outcome(t, 3);
    assert_in_range(moved, waiting, PIPE_BYTES - 1);
    assert_int_equal(ioctl(ends[0], FIONREAD, &left), 0);
    assert_int_equal(left + moved, PIPE_BYTES);
    UCT_PUMP(t, uct_read_some(pair[1], 0, &seen), seen == (uint64_t)moved);
}

static void a_ring_is_freed_while_splices_wait(void **state)
{
    struct uct *t = *state;
    uint64_t begin = uct_now_ms();
    int empty[2], other[2];

    uct_pipe(t, empty, 0);
    uct_pipe(t, other, 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(
            uc_op_splice(t->ring, empty[0], CURRENT, other[1], CURRENT, 100, 0, 3, NULL), 0);
    uct_turn(t, 1000000);
    t->ring = uc_ring_free(t->ring);
    assert_true(uct_now_ms() - begin < 5000);
}

static void bad_input_is_refused(void **state)
{
    struct uct *t = *state;
    const uint32_t too_much = (UINT32_C(1) << 31) - 4095;
    int ends[2], file = file_of(t, 0, 100);
    uint64_t op = 42;

    uct_pipe(t, ends, 0);
    assert_int_equal(uc_op_splice(NULL, file, 0, ends[1], CURRENT, 1, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_splice(t->ring, file, 0, ends[1], CURRENT, 0, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_splice(t->ring, file, 0, ends[1], CURRENT, too_much, 0, 0, &op),
                     -EINVAL);
    assert_int_equal(uc_op_splice(t->ring, file, 0, ends[1], CURRENT, 1, 4, 0, &op), -EINVAL);
    assert_int_equal(uc_op_splice(t->ring, -1, 0, ends[1], CURRENT, 1, 0, 0, &op), -EBADF);
    assert_int_equal(uc_op_splice(t->ring, file, 0, -1, CURRENT, 1, 0, 0, &op), -EBADF);
    assert_int_equal(uct_stats(t).submissions, 0);
    assert_int_equal(op, 42);
}

static void what_the_kernel_refuses_is_the_result(void **state)
{
    struct uct *t = *state;
    int ends[2], file = file_of(t, 0, 100);

    uct_pipe(t, ends, 0);
    assert_int_equal(splice_once(t, file, 0, file, 0, 1, 0), -EINVAL);
    assert_int_equal(splice_once(t, file, 0, ends[1], 0, 1, 0), -ESPIPE);
    assert_int_equal(splice_once(t, ends[0], 0, file, 0, 1, 0), -ESPIPE);
    assert_int_equal(splice_once(t, 12345, 0, ends[1], CURRENT, 1, 0), -EBADF);
    assert_int_equal(splice_once(t, ends[0], CURRENT, 12345, 0, 1, 0), -EBADF);
    uct_peer_close(t, ends[0]);
    assert_int_equal(splice_once(t, file, 0, ends[1], CURRENT, 1, 0), -EPIPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UCT(a_file_travels_through_a_pipe_to_a_socket),
        UCT(offsets_are_used_on_either_side_and_the_current_one_moves),
        UCT(the_end_of_a_pipe_is_nought),
        UCT(a_non_blocking_socket_that_is_full_answers_eagain_and_loses_nothing),
        UCT(a_blocking_socket_is_waited_for_whatever_the_flags_say),
        UCT(a_pipe_is_not_waited_for_when_it_or_the_flag_says_so),
        UCT(a_splice_that_waits_can_be_cancelled),
        UCT(what_was_moved_before_the_cancellation_counts),
        UCT(a_ring_is_freed_while_splices_wait),
        UCT(bad_input_is_refused),
        UCT(what_the_kernel_refuses_is_the_result),
    };

    return UCT_RUN("splice", tests);
}
