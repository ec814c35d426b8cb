/* The io_uring backend alone, through the table that everything above it uses. */
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "seam.h"
#include "uring/uring.h"

static void what_is_stopped_in_own_memory_tells_how_it_ended(void **state)
{
    struct backend b;
    bool own_memory;

    seam_open(&b, *state, 0);
    own_memory = uci_uring_of(b.it)->memory;
    seam_close(&b);
    if (!own_memory) {
        print_message("this kernel has no rings in own memory\n");
        skip();
    }
    what_is_stopped_tells_how_it_ended(state);
}

static void mapped_rings_stop_too_but_tell_nothing(void **state)
{
    struct uci_completion c[8];
    struct backend b;

    seam_open(&b, *state, UCI_FEATURE_OWN_MEMORY);
    assert_null(uci_uring_of(b.it)->memory);
    seam_provide_all(&b);
    seam_receive(&b, b.pair[0], 7);
    assert_int_equal(b.table->enter(b.it, false, 0), 0);
    b.table->stop(b.it);
    assert_true(b.table->is_stopped(b.it, SECOND_NS));
    assert_int_equal(b.table->reap(b.it, c, 8), 0);
    seam_close(&b);
}

static void what_is_switched_off_is_not_used_and_not_missed(void **state)
{
    const uint64_t off = UC_FEATURE_BUFFER_RING | UC_FEATURE_DEFER_TASKRUN;
    struct backend b;

    seam_open(&b, *state, off);
    assert_int_equal(b.info.features & (off | UC_FEATURE_MULTISHOT_RECV), 0);
    assert_int_equal(
        b.info.features_stripped & (off | UC_FEATURE_MULTISHOT_RECV | UC_FEATURE_RECV_BUNDLE), 0);
    assert_null(strstr(b.info.reason, "multishot-recv"));
    seam_close(&b);
}

static void mapped_rings_stop_and_tell_of_calls(void **state)
{
    seam_stop_calls(*state, UCI_FEATURE_OWN_MEMORY);
}

static void the_descriptor_tells_until_the_last_call_is_taken(void **state)
{
    struct uci_operation asking = {
        .op = UCI_OP_READLINKAT,
        .fd = AT_FDCWD,
        .address = (uint64_t)(uintptr_t)"/proc/self/exe",
        .length = 64,
    };
    char text[64];
    struct uci_completion c;
    struct pollfd news;
    struct backend b;

    seam_open(&b, *state, 0);
    news = (struct pollfd){.fd = b.table->poll_fd(b.it), .events = POLLIN};
    asking.offset = (uint64_t)(uintptr_t)text;
    for (int round = 0; round < 3; round++) {
        for (asking.user_data = 1; asking.user_data <= 5; asking.user_data++)
            seam_submit(&b, &asking);
        assert_int_equal(b.table->enter(b.it, false, 0), 0);
        assert_true(uci_uring_calls_have_ended(uci_uring_of(b.it), 20 * SECOND_NS));
        for (int left = 5; left; left--) {
            assert_int_equal(b.table->enter(b.it, false, 0), 0);
            assert_int_equal(poll(&news, 1, 0), 1);
            assert_true(b.table->has_news(b.it));
            assert_int_equal(b.table->reap(b.it, &c, 1), 1);
            assert_true(c.result > 0);
        }
        assert_int_equal(b.table->enter(b.it, false, 0), 0);
        assert_int_equal(b.table->reap(b.it, &c, 1), 0);
        assert_int_equal(poll(&news, 1, 0), 0);
    }
    seam_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SEAM_TEST(every_operation_ends_once_also_when_the_queue_is_full, uci_backend_uring),
        SEAM_TEST(pieces_come_one_buffer_at_a_time_however_few_are_taken, uci_backend_uring),
        SEAM_TEST(without_a_buffer_no_byte_is_taken, uci_backend_uring),
        SEAM_TEST(what_goes_on_by_itself_does_not_keep_others_waiting, uci_backend_uring),
        SEAM_TEST(what_hangs_in_a_worker_is_not_cancelled_and_ends_as_it_may, uci_backend_uring),
        SEAM_TEST(a_backend_is_freed_while_a_worker_hangs, uci_backend_uring),
        SEAM_TEST(what_workers_have_done_is_taken_one_by_one, uci_backend_uring),
        SEAM_TEST(what_was_called_and_is_stopped_ends_once, uci_backend_uring),
        SEAM_TEST(what_is_stopped_in_own_memory_tells_how_it_ended, uci_backend_uring),
        SEAM_TEST(mapped_rings_stop_too_but_tell_nothing, uci_backend_uring),
        SEAM_TEST(mapped_rings_stop_and_tell_of_calls, uci_backend_uring),
        SEAM_TEST(the_descriptor_tells_until_the_last_call_is_taken, uci_backend_uring),
        SEAM_TEST(what_is_switched_off_is_not_used_and_not_missed, uci_backend_uring),
    };

    return UCT_RUN_ON_URING("backend", tests);
}
