/*
 * The ring and its backend: opening it, moving it between threads, tearing it down.
 *
 * A ring that defers its completions to one thread can be entered by no other; but any thread can
 * let go of it, and then every operation ends with a completion that tells exactly what had
 * happened by then: a receive that had taken nothing, a send with the count that was sent. So
 * moving to another thread is: let go, take those completions, make a new ring, and arm again what
 * the completions say was cut off. No byte is lost.
 *
 * What a zero-copy send has taken cannot be let go of: its notice comes when the peer has
 * acknowledged it, through the ring that it was sent by. So a ring does not move before, and one
 * that is freed waits, then resets the connection.
 */
#include <unistd.h>

#include "base/clock.h"
#include "choice/choice.h"
#include "flow/flow.h"

#define STOP_DEADLINE_NS UINT64_C(1000000000)
#define STOP_SLICE_NS INT64_C(1000000)

int uci_ring_open_backend(uc_ring *ring)
{
    int r = uci_choice_open(ring->asked_backend, &ring->options, &ring->info, &ring->backend);

    if (r < 0)
        return r;
    ring->info.restriction = ring->options.restriction;
    ring->provided = 0;
    return 0;
}

/* Let the kernel end everything, and park what comes of it. 0, -EBUSY or -ENOMEM. */
static int stop(uc_ring *ring)
{
    uint64_t deadline = uci_clock_now_ns() + STOP_DEADLINE_NS;
    bool stopped = false;
    int r;

    r = uci_ring_park_all(ring);
    if (r < 0)
        return r;
    (void)uci_at_fork_hold();
    ring->backend->table->stop(ring->backend);
    uci_at_fork_release();
    for (;;) {
        r = uci_ring_park_all(ring);
        if (r < 0)
            return r;
        if (uci_ring_parked_terminal(ring) >= ring->outstanding)
            return 0;
        if (stopped)
            return uci_ring_park_lost(ring);
        if (uci_clock_now_ns() > deadline)
            return -EBUSY;
        stopped = ring->backend->table->is_stopped(ring->backend, STOP_SLICE_NS);
    }
}

/* Buffers that the old ring could choose from and did not. */
static void take_back_provided(uc_ring *ring)
{
    struct uc_pool *pool = ring->pool;

    if (!(ring->backend->features & UC_FEATURE_BUFFER_RING))
        return;
    for (uint32_t i = 0; i < ring->parked_count; i++) {
        const struct uci_completion *completion = &ring->parked[i];

        if (completion->flags & UCI_COMPLETION_BUFFER)
            uci_pool_complete(pool, completion->buffer, 0, 0);
    }
    for (struct uci_link *link = ring->attached.next; link != &ring->attached; link = link->next) {
        uint32_t chosen = UCI_CONTAINER(link, uc_fd, attached)->read_buffer;

        if (chosen != UCI_BUFFER_NONE)
            uci_pool_complete(pool, chosen, 0, 0);
    }
    for (uint32_t i = 0; i < pool->count; i++)
        if (pool->buffers[i].state == UCI_BUFFER_IN_FLIGHT)
            uci_pool_recycle(pool, i);
}

/* Completions that wait in the kernel for room cannot be fetched from another thread, and die with
 * the ring. Return: whether there are any, or may be when everything ends at once. */
static bool would_overflow(uc_ring *ring)
{
    return ring->backend->overflowing || ring->outstanding > ring->backend->completions_max;
}

static int swap_backend(uc_ring *ring)
{
    struct uci_backend *old = ring->backend;
    int r = uci_choice_reopen(&ring->options, &ring->info, &ring->backend);

    if (r < 0) {
        ring->backend = old;
        return r;
    }
    ring->provided = 0;
    ring->stats.kernel_entries += old->kernel_entries;
    ring->stats.overflows += old->overflows;
    old->table->free(old, false);
    return 0;
}

static int replace_backend(uc_ring *ring)
{
    int r;

    (void)uci_at_fork_hold();
    r = swap_backend(ring);
    uci_at_fork_release();
    if (r < 0)
        return r;
    ring->owner = 0;
    if (ring->embed_fd >= 0)
        r = ring->backend->table->set_event_fd(ring->backend, ring->embed_fd);
    return r < 0 ? r : uci_ring_adopt(ring);
}

int uci_ring_rehome(uc_ring *ring)
{
    int r = ring->fatal ? ring->fatal : uci_ring_park_all(ring);

    if (r == 0 && (would_overflow(ring) || ring->zero_copy_in_flight))
        r = -EBUSY;
    if (r < 0)
        return r;
    r = stop(ring);
    if (r == 0) {
        ring->stats.rehomed += ring->outstanding > (ring->wake.user_data != 0);
        take_back_provided(ring);
        r = replace_backend(ring);
    }
    return r < 0 ? uci_ring_fail(ring, r) : 0;
}

/* Ask everything to end. */
static void cancel_all(uc_ring *ring)
{
    struct uci_slot *slot;
    struct uci_link *link, *next;

    for (link = ring->attached.next; link != &ring->attached; link = next) {
        uc_fd *fd = UCI_CONTAINER(link, uc_fd, attached);

        next = link->next;
        fd->silent = true;
        if (fd->life <= UC_FD_HALF_CLOSED)
            fd->keep_descriptor = true;
        if (fd->life <= UC_FD_DRAINING)
            uci_flow_life(fd, UCI_LIFE_ABORT);
    }
    for (uint32_t i = 0; (slot = uci_slot_at(&ring->slots, i)); i++)
        if (slot->kind)
            (void)uci_flow_cancel_slot(ring, slot);
    if (ring->wake.user_data)
        (void)uci_flow_cancel(ring, ring->wake.user_data);
}

static void reset_zero_copy(uc_ring *ring)
{
    for (struct uci_link *link = ring->attached.next; link != &ring->attached; link = link->next)
        uci_flow_reset(UCI_CONTAINER(link, uc_fd, attached));
}

static void reap_to_the_end(uc_ring *ring)
{
    uint64_t deadline = uci_clock_now_ns() + STOP_DEADLINE_NS;

    while (!ring->dying && ring->outstanding && uci_clock_now_ns() < deadline) {
        int r = uci_ring_enter(ring, true, STOP_SLICE_NS);

        if (uci_ring_carry(ring, false) < 0 || (r < 0 && r != -EINTR))
            break;
    }
}

static int stop_for_good(uc_ring *ring)
{
    int r = ring->outstanding ? stop(ring) : 0;

    if (r == -EBUSY && ring->zero_copy_in_flight) {
        reset_zero_copy(ring);
        r = stop(ring);
    }
    return r;
}

/* End everything in flight; ring->outstanding tells what did not end in time. */
void uci_ring_drain(uc_ring *ring)
{
    ring->ending = true;
    ring->dying = ring->fatal || (ring->owner && ring->owner != uci_thread_id());
    cancel_all(ring);
    reap_to_the_end(ring);
    if (ring->zero_copy_in_flight && !ring->dying) {
        reset_zero_copy(ring);
        reap_to_the_end(ring);
    }
    ring->dying = true;
    if (stop_for_good(ring) == 0)
        (void)uci_ring_carry(ring, false);
}
