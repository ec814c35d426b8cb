#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

uint64_t uct_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t uct_deadline_ms(void)
{
    /* Emulated machines are many times slower: see tools/guests. */
    const char *slowness = getenv("UC_TEST_SLOWNESS");
    uint64_t times = slowness ? strtoull(slowness, NULL, 10) : 1;

    return 20000 * (times ? times : 1);
}

struct uct_sink *uct_attach(struct uct *t, int number, const struct uc_fd_options *options)
{
    struct uc_fd_options with_cookie = {.size = sizeof(with_cookie)};
    struct uct_sink *sink = calloc(1, sizeof(*sink));

    assert_non_null(sink);
    assert_true(t->sink_count < UCT_SINKS);
    if (options)
        with_cookie = *options;
    with_cookie.cookie = (uint64_t)(uintptr_t)sink;
    sink->number = number;
    assert_int_equal(uc_fd_attach(t->ring, number, &with_cookie, &sink->fd), 0);
    t->sinks[t->sink_count++] = sink;
    return sink;
}

void uct_forget(struct uct *t, struct uct_sink *sink)
{
    for (uint32_t i = 0; i < t->sink_count; i++)
        if (t->sinks[i] == sink)
            t->sinks[i] = t->sinks[--t->sink_count];
    assert_null(uc_fd_free(sink->fd));
    free(sink);
}

void uct_close_now(struct uct *t, struct uct_sink *sink)
{
    assert_int_equal(uc_fd_close(sink->fd, UC_CLOSE_ABORT), 0);
    UCT_UNTIL(t, sink->closed);
    uct_forget(t, sink);
}

static void take_payload(struct uct *t, struct uct_sink *sink, const struct uc_event *event)
{
    const uint8_t *payload = (const uint8_t *)uc_pool_base(t->pool) + event->offset;
    uint32_t bytes = (uint32_t)event->result;

    if (!sink->ignore_bytes && !uct_matches(sink->seed, sink->received, payload, bytes))
        sink->mismatches++;
    sink->received += bytes;
    sink->unasked += sink->stopped;
    if (bytes > sink->largest)
        sink->largest = bytes;
    sink->last_bytes = bytes;
    memcpy(sink->last, payload, bytes < sizeof(sink->last) ? bytes : sizeof(sink->last));
}

static void take_datagram(struct uct *t, struct uct_sink *sink, const struct uc_event *event)
{
    const uint8_t *base = uc_pool_base(t->pool);

    if (event->flags & UC_EVENT_ENDED) {
        sink->ends++;
        sink->end_result = event->result;
        return;
    }
    if (event->result < 0) {
        sink->datagram_errors++;
        sink->end_result = event->result;
        return;
    }
    sink->datagrams++;
    sink->truncated += (event->flags & UC_EVENT_TRUNCATED) != 0;
    sink->address_bytes = event->flags >> 16;
    if (sink->address_bytes <= sizeof(sink->address))
        memcpy(sink->address, base + event->offset - UC_DATAGRAM_ADDRESS_BYTES,
               sink->address_bytes);
    sink->received = 0;
    take_payload(t, sink, event);
}

static void take_receive(struct uct *t, struct uct_sink *sink, const struct uc_event *event)
{
    if (event->result > 0) {
        sink->records++;
        take_payload(t, sink, event);
        return;
    }
    sink->unasked += sink->stopped;
    sink->ends++;
    sink->end_result = event->result;
    sink->end_flags = event->flags;
}

static void take_accept(struct uct *t, struct uct_sink *sink, const struct uc_event *event)
{
    if (event->result < 0) {
        sink->ends++;
        sink->accept_result = event->result;
        sink->end_flags = event->flags;
        return;
    }
    sink->unasked += sink->stopped;
    sink->accepts++;
    if (t->accepted_count < UCT_PEERS)
        t->accepted[t->accepted_count++] = event->result;
    else
        close(event->result);
}

void uct_dispatch(struct uct *t, const struct uc_event *event)
{
    struct uct_sink *sink = (struct uct_sink *)(uintptr_t)event->cookie;

    if (event->kind == UC_EVENT_OPERATION) {
        t->operations++;
        t->operation_cookie = event->cookie;
        t->operation_result = event->result;
        return;
    }
    assert_int_equal(event->fd, sink->number);
    sink->after_closed += sink->closed;
    sink->last_kind = event->kind;
    switch (event->kind) {
    case UC_EVENT_RECV:
        take_receive(t, sink, event);
        break;
    case UC_EVENT_DATAGRAM:
        take_datagram(t, sink, event);
        break;
    case UC_EVENT_ACCEPT:
        take_accept(t, sink, event);
        break;
    case UC_EVENT_CONNECT:
        sink->connects++;
        sink->connect_result = event->result;
        break;
    case UC_EVENT_SENT:
        sink->references += (uint64_t)event->result;
        sink->low_waters += (event->flags & UC_EVENT_LOW_WATER) != 0;
        break;
    case UC_EVENT_SEND_FAILED:
        sink->failed++;
        sink->failed_result = event->result;
        break;
    case UC_EVENT_SHUTDOWN:
        sink->shutdowns++;
        sink->shutdown_result = event->result;
        break;
    case UC_EVENT_POLL:
        sink->polls++;
        sink->poll_result = event->result;
        break;
    case UC_EVENT_CLOSED:
        sink->closed++;
        sink->closed_result = event->result;
        break;
    default:
        fail_msg("a record of unknown kind %u", event->kind);
    }
}

/* A turn that waits for nothing has told the kernel all the same, also with SQPOLL. */
static void settle(struct uct *t)
{
    int r = uc_ring_flush(t->ring);

    if (r < 0)
        fail_msg("uc_ring_flush: %s", uc_error_name(r));
}

int uct_turn(struct uct *t, int64_t timeout_ns)
{
    bool settles = timeout_ns == 0 && uct_sqpoll_is_forced();
    int n;

    if (settles)
        settle(t);
    n = uc_ring_wait(t->ring, t->events, t->max_events, timeout_ns);
    t->wait_error = n < 0 ? n : 0;
    if (n < 0 && n != -EINTR)
        fail_msg("uc_ring_wait: %s", uc_error_name(n));
    for (int i = 0; i < n; i++)
        uct_dispatch(t, &t->events[i]);
    if (settles)
        settle(t);
    return n < 0 ? 0 : n;
}

int32_t uct_outcome(struct uct *t, uint64_t cookie)
{
    uint32_t before = t->operations;

    UCT_UNTIL(t, t->operations > before);
    assert_int_equal(t->operations, before + 1);
    assert_int_equal(t->operation_cookie, cookie);
    return t->operation_result;
}
