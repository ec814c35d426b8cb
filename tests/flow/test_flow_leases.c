/* Records that are kept: their memory is their holder's, and what they cost is their descriptor's. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "masks.h"

#define BUFFER_BYTES 4096
#define CREDIT_BYTES (4 * BUFFER_BYTES)
#define LEASES_MAX 256
#define FEW 16                   /* buffers */
#define QUARANTINE_NS 2000000000 /* longer than a test */

/* Leases of one connection, in the order of the stream. */
struct holder {
    struct uct *t;
    struct uct_link link;
    struct uc_lease leases[LEASES_MAX];
    uint64_t offsets[LEASES_MAX];
    uint32_t lengths[LEASES_MAX];
    uint32_t count, released;
    uint64_t kept_bytes;
};

static struct holder *holder_new(struct uct *t, const struct uc_fd_options *options)
{
    struct holder *h = calloc(1, sizeof(*h));

    assert_non_null(h);
    h->t = t;
    h->link = uct_link(t, options, 0);
    assert_int_equal(uc_fd_recv_start(h->link.sink->fd), 0);
    return h;
}

static struct uc_fd_status status_of(const struct holder *h)
{
    struct uc_fd_status status = {.size = sizeof(status)};

    assert_int_equal(uc_fd_get_status(h->link.sink->fd, &status), 0);
    return status;
}

static void keep(struct holder *h, const struct uc_event *event)
{
    uint32_t i = h->count++;

    assert_true(i < LEASES_MAX);
    assert_true(event->flags & UC_EVENT_PAYLOAD);
    assert_int_equal(uc_pool_keep(h->t->pool, event->buffer, &h->leases[i]), 0);
    h->offsets[i] = event->offset;
    h->lengths[i] = (uint32_t)event->result;
    h->kept_bytes += h->lengths[i];
}

/* One turn that keeps whatever came for this connection. */
static void turn(struct holder *h, int64_t timeout_ns)
{
    int n = uct_turn(h->t, timeout_ns);

    for (int i = 0; i < n; i++)
        if (h->t->events[i].kind == UC_EVENT_RECV && h->t->events[i].result > 0 &&
            h->t->events[i].fd == h->link.sink->number)
            keep(h, &h->t->events[i]);
}

static void check_bytes(const struct holder *h)
{
    const uint8_t *base = uc_pool_base(h->t->pool);
    uint64_t position = 0;

    for (uint32_t i = 0; i < h->count; i++) {
        if (i >= h->released)
            assert_true(uct_matches(0, position, base + h->offsets[i], h->lengths[i]));
        position += h->lengths[i];
    }
}

static void release_first(struct holder *h)
{
    assert_int_equal(uc_pool_release(h->t->pool, h->leases[h->released++].token), 0);
}

static void holder_free(struct holder *h)
{
    check_bytes(h);
    while (h->released < h->count)
        release_first(h);
    free(h);
}

static bool is_at_rest(const struct holder *h)
{
    struct uc_fd_status status = status_of(h);

    return status.leased_bytes >= CREDIT_BYTES && status.in_flight == 0;
}

static const struct uc_fd_options datagrams = {.size = sizeof(datagrams), .flags = UC_FD_DATAGRAM};
static const struct uc_fd_options little_credit = {
    .size = sizeof(struct uc_fd_options),
    .credit_bytes = CREDIT_BYTES,
};

static void who_keeps_everything_rests_and_goes_on_when_leases_come_back(void **state)
{
    struct uct *t = *state;
    struct holder *h = holder_new(t, &little_credit);
    uint64_t sent = 0, total = 40 * BUFFER_BYTES;
    uint32_t most = 0;

    for (uint64_t until = uct_now_ms() + uct_deadline_ms(); h->kept_bytes < total;) {
        assert_true(uct_now_ms() < until);
        uct_write_some(h->link.peer, 0, &sent, total);
        turn(h, 1000000);
        if (h->count - h->released > most)
            most = h->count - h->released;
        check_bytes(h);
        if (!is_at_rest(h))
            continue;
        turn(h, 0); /* which does not arm it */
        release_first(h);
    }
    assert_int_equal(h->link.sink->mismatches, 0);
    /* Its credit and what the kernel still had when it was reached. */
    assert_in_range(most, CREDIT_BYTES / BUFFER_BYTES, 3 * CREDIT_BYTES / BUFFER_BYTES);
    holder_free(h);
}

static void at_the_limit_the_peer_feels_it_and_nobody_spins(void **state)
{
    struct uct *t = *state;
    struct holder *h = holder_new(t, &little_credit);
    uint64_t sent = 0, entries, stood;

    while (!is_at_rest(h)) {
        uct_write_some(h->link.peer, 0, &sent, UINT64_MAX);
        turn(h, 1000000);
    }
    do {
        stood = sent;
        uct_write_some(h->link.peer, 0, &sent, UINT64_MAX);
    } while (sent > stood);
    assert_true(sent > h->kept_bytes);
    entries = uct_stats(t).kernel_entries;
    turn(h, 20000000);
    turn(h, 20000000);
    assert_true(uct_stats(t).kernel_entries - entries <= 6);
    assert_true(is_at_rest(h));
    uct_write_some(h->link.peer, 0, &sent, UINT64_MAX);
    assert_int_equal(sent, stood);
    /* More credit is as good as a lease that came back. */
    stood = h->kept_bytes;
    assert_int_equal(uc_fd_set_credit(h->link.sink->fd, 16, 8 * CREDIT_BYTES), 0);
    for (uint64_t until = uct_now_ms() + uct_deadline_ms(); h->kept_bytes == stood;) {
        assert_true(uct_now_ms() < until);
        turn(h, 1000000);
    }
    holder_free(h);
}

static void what_is_leased_is_neither_written_nor_given_out_again(void **state)
{
    struct uct *t = *state;
    struct holder *h = holder_new(t, NULL);
    struct uct_link other = uct_link(t, NULL, 0);
    uint64_t sent = 0, also = 0;

    other.sink->seed = 9;
    assert_int_equal(uc_fd_recv_start(other.sink->fd), 0);
    while (h->count < 8) {
        uct_write_some(h->link.peer, 0, &sent, sent + 1000);
        turn(h, 1000000);
    }
    for (int round = 0; round < 200; round++) {
        uct_write_all(other.peer, 9, &also, 20000);
        UCT_UNTIL(t, other.sink->received == also);
        check_bytes(h);
    }
    holder_free(h);
}

/* A pointer into it may still be in use. */
static void what_rests_is_not_written_either(void **state)
{
    struct uct *t = *state;
    struct uct_link other = uct_link(t, NULL, 0);
    uint64_t sent = 0, also = 0;
    struct holder *h;

    if (getenv("UC_FENCE")) {
        print_message("with UC_FENCE nobody may even read it\n");
        skip();
    }
    h = holder_new(t, NULL);
    other.sink->seed = 9;
    assert_int_equal(uc_fd_recv_start(other.sink->fd), 0);
    while (h->count < 8) {
        uct_write_some(h->link.peer, 0, &sent, sent + 1000);
        turn(h, 1000000);
    }
    while (h->released < h->count)
        release_first(h);
    h->released = 0;
    uct_write_all(other.peer, 9, &also, 20000);
    UCT_UNTIL(t, other.sink->received == also);
    check_bytes(h);
    h->released = h->count;
    holder_free(h);
}

static void one_who_releases_nothing_does_not_stop_a_thousand_others(void **state)
{
    enum {
        OTHERS = 1000
    };
    struct uct *t = *state;
    struct holder *h = holder_new(t, &little_credit);
    struct uct_link *others = calloc(OTHERS, sizeof(*others));
    uint64_t sent = 0, positions[OTHERS] = {0}, received = 0;

    for (uint32_t i = 0; i < OTHERS; i++) {
        others[i] = uct_link(t, NULL, 0);
        others[i].sink->seed = i;
        assert_int_equal(uc_fd_recv_start(others[i].sink->fd), 0);
    }
    while (!is_at_rest(h)) {
        uct_write_some(h->link.peer, 0, &sent, UINT64_MAX);
        turn(h, 1000000);
    }
    for (int round = 0; round < 5; round++) {
        for (uint32_t i = 0; i < OTHERS; i++)
            uct_write_all(others[i].peer, i, &positions[i], 3000);
        received += UINT64_C(3000) * OTHERS;
        for (uint32_t i = 0; i < OTHERS; i++)
            UCT_UNTIL(t, others[i].sink->received == positions[i]);
    }
    assert_int_equal(received, UINT64_C(15000) * OTHERS);
    assert_true(is_at_rest(h));
    holder_free(h);
    free(others);
}

static void leases_outlive_their_descriptor_and_count_for_nobody_else(void **state)
{
    struct uct *t = *state;
    struct holder *h = holder_new(t, &little_credit), *next;
    uint64_t sent = 0;

    while (h->count < 2) {
        uct_write_all(h->link.peer, 0, &sent, 500);
        turn(h, 1000000);
    }
    uct_close_now(t, h->link.sink);
    next = holder_new(t, &little_credit);
    assert_int_equal(status_of(next).leased_bytes, 0);
    check_bytes(h);
    holder_free(h);
    assert_int_equal(status_of(next).leased_bytes, 0);
    holder_free(next);
}

static void a_record_can_be_kept_in_the_turn_in_which_its_descriptor_goes(void **state)
{
    struct uct *t = *state;
    struct holder *h = holder_new(t, NULL);
    uint64_t sent = 0;
    struct uc_event event;

    uct_write_all(h->link.peer, 0, &sent, 500);
    do {
        uct_turn(t, 1000000);
        event = t->events[0];
    } while (!h->link.sink->received);
    assert_int_equal(uc_fd_close(h->link.sink->fd, UC_CLOSE_ABORT | UC_CLOSE_NOW), 0);
    assert_null(uc_fd_free(h->link.sink->fd));
    h->link.sink->fd = NULL;
    keep(h, &event);
    UCT_UNTIL(t, h->link.sink->closed);
    uct_forget(t, h->link.sink);
    holder_free(h);
}

static void every_record_of_who_does_not_gather_can_be_kept(void **state)
{
    struct uct *t = *state;
    struct uc_fd_options gathering = {.size = sizeof(gathering), .flags = UC_FD_GATHER};
    struct holder *h = holder_new(t, &gathering);
    uint64_t sent = 0;

    assert_int_equal(uc_fd_set_gather(h->link.sink->fd, 2), -EINVAL);
    assert_int_equal(uc_fd_set_gather(h->link.sink->fd, 0), 0);
    while (h->count < 20) {
        uct_write_some(h->link.peer, 0, &sent, sent + 3 * BUFFER_BYTES);
        turn(h, 1000000);
    }
    assert_int_equal(h->link.sink->received, h->kept_bytes);
    assert_true(h->link.sink->largest <= BUFFER_BYTES);
    holder_free(h);
}

static int go_on_in_child(void *argument)
{
    struct holder *h = argument;
    struct uc_fd_status status = {.size = sizeof(status)};
    struct uc_pool_stats stats = {.size = sizeof(stats)};

    UCT_CHECK(uc_pool_release(h->t->pool, h->leases[0].token) == -ECHILD);
    UCT_CHECK(uc_ring_reinit(h->t->ring) == 0);
    UCT_CHECK(uc_pool_release(h->t->pool, h->leases[0].token) == -ESTALE);
    UCT_CHECK(uc_pool_get_stats(h->t->pool, &stats) == 0 && stats.leased == 0);
    UCT_CHECK(uc_fd_get_status(h->link.sink->fd, &status) == -ESTALE);
    UCT_CHECK(!uc_fd_free(h->link.sink->fd));
    UCT_CHECK(!uc_ring_free(h->t->ring));
    return 0;
}

static void leases_are_the_parents_also_when_a_child_begins_anew(void **state)
{
    struct uct *t = *state;
    struct holder *h = holder_new(t, NULL);
    uint64_t sent = 0;

    while (h->count < 3) {
        uct_write_all(h->link.peer, 0, &sent, 500);
        turn(h, 1000000);
    }
    assert_int_equal(uct_in_child(go_on_in_child, h), 0);
    check_bytes(h);
    holder_free(h);
}

/* A sanitizer's, where there is one. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static int free_everything_in_child(void *argument)
{
    struct holder *h = argument;

    h->link.sink->fd = uc_fd_free(h->link.sink->fd);
    h->t->ring = uc_ring_free(h->t->ring);
    h->t->pool = uc_pool_free(h->t->pool);
    UCT_CHECK(__lsan_do_recoverable_leak_check() == 0);
    return 0;
}

static void a_child_that_frees_everything_keeps_nothing_of_the_parents_leases(void **state)
{
    struct uct *t = *state;
    struct holder *h;
    uint64_t sent = 0;

    if (!__lsan_do_recoverable_leak_check) {
        print_message("only a sanitizer finds memory that is lost\n");
        skip();
    }
    h = holder_new(t, NULL);
    while (h->count < 3) {
        uct_write_all(h->link.peer, 0, &sent, 500);
        turn(h, 1000000);
    }
    assert_int_equal(uct_in_child(free_everything_in_child, h), 0);
    holder_free(h);
}

/* Of a datagram alone libuc chooses the buffer itself: the kernel must not have all that is left. */
static void leases_leave_buffers_also_to_receives_that_libuc_chooses_them_for(void **state)
{
    struct uct *t = *state;
    struct uct_sink *sink = uct_attach(t, uct_udp(), &datagrams);
    int peer = uct_peer(t, uct_udp());
    struct holder *h = holder_new(t, NULL);
    struct sockaddr_in address;
    socklen_t bytes = sizeof(address);
    uint64_t sent = 0;

    sink->ignore_bytes = true;
    assert_int_equal(getsockname(sink->number, (struct sockaddr *)&address, &bytes), 0);
    while (h->count < FEW / 2) {
        uct_write_all(h->link.peer, 0, &sent, 500);
        turn(h, 1000000);
    }
    assert_int_equal(uc_fd_recv_once(sink->fd, BUFFER_BYTES), 0);
    assert_int_equal(sendto(peer, "alone", 5, 0, (struct sockaddr *)&address, bytes), 5);
    UCT_UNTIL(t, sink->datagrams);
    holder_free(h);
}

#define POOL                                                                                       \
    .pool = {                                                                                      \
        .buffer_bytes = BUFFER_BYTES,                                                              \
        .buffer_count = 64,                                                                        \
        .buffer_max = 1024,                                                                        \
        .quarantine_ns = QUARANTINE_NS,                                                            \
    }

static const struct uct_options plain = {POOL};
static const struct uct_options few = {
    .pool = {.buffer_bytes = BUFFER_BYTES, .buffer_count = FEW, .buffer_max = FEW}};
static const struct uct_options single_shot = {.ring.features_off = UC_FEATURE_MULTISHOT_RECV,
                                               POOL};
static const struct uct_options chosen = {.ring.features_off = UC_FEATURE_BUFFER_RING, POOL};

#define LEASES(test)                                                                               \
    UCT_WITH(test, "", &plain), UCT_WITH(test, "without multishot receive", &single_shot),         \
        UCT_WITH(test, "without a buffer ring", &chosen)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEASES(who_keeps_everything_rests_and_goes_on_when_leases_come_back),
        LEASES(at_the_limit_the_peer_feels_it_and_nobody_spins),
        LEASES(what_is_leased_is_neither_written_nor_given_out_again),
        LEASES(what_rests_is_not_written_either),
        LEASES(one_who_releases_nothing_does_not_stop_a_thousand_others),
        LEASES(leases_outlive_their_descriptor_and_count_for_nobody_else),
        LEASES(a_record_can_be_kept_in_the_turn_in_which_its_descriptor_goes),
        LEASES(every_record_of_who_does_not_gather_can_be_kept),
        LEASES(leases_are_the_parents_also_when_a_child_begins_anew),
        LEASES(a_child_that_frees_everything_keeps_nothing_of_the_parents_leases),
        UCT_WITH(leases_leave_buffers_also_to_receives_that_libuc_chooses_them_for, "", &few),
    };

    return UCT_RUN("leases", tests);
}
