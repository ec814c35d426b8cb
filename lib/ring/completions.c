/*
 * Completions between the backend and complete.c.
 *
 * Normally they are reaped within a turn and carried through at once. Some are reaped between
 * turns: when a descriptor is closed now, or when the ring moves to another thread. A completion
 * carried through then would make records that the caller has not asked for yet, and could no
 * longer call off. So it is parked, and carried through at the next turn as if it came then.
 */
#include <stdlib.h>
#include <string.h>

#include "flow/flow.h"

#define IS_TERMINAL(completion) (!((completion)->flags & UCI_COMPLETION_MORE))

/* From the backend; from here on the buffers are no longer the kernel's. */
static uint32_t reap(uc_ring *ring, struct uci_completion *out, uint32_t max)
{
    uint32_t n = ring->backend->table->reap(ring->backend, out, max);

    for (uint32_t i = 0; i < n; i++)
        ring->provided -= (out[i].flags & UCI_COMPLETION_BUFFER) != 0;
    return n;
}

uint32_t uci_ring_next_completions(uc_ring *ring, struct uci_completion *out, uint32_t max)
{
    uint32_t n = ring->parked_count < max ? ring->parked_count : max;

    if (!n)
        return reap(ring, out, max);
    memcpy(out, ring->parked, n * sizeof(*out));
    ring->parked_count -= n;
    memmove(ring->parked, ring->parked + n, ring->parked_count * sizeof(*out));
    return n;
}

static int reserve_parked(uc_ring *ring, uint32_t more)
{
    uint32_t needed = ring->parked_count + more;
    uint32_t capacity = ring->parked_capacity ? ring->parked_capacity : UCI_REAP_BATCH;
    struct uci_completion *parked;

    if (needed <= ring->parked_capacity)
        return 0;
    while (capacity < needed)
        capacity *= 2;
    parked = realloc(ring->parked, capacity * sizeof(*parked));
    if (!parked)
        return -ENOMEM;
    ring->parked = parked;
    ring->parked_capacity = capacity;
    return 0;
}

int uci_ring_park_all(uc_ring *ring)
{
    uint32_t n;
    int r;

    do {
        r = reserve_parked(ring, UCI_REAP_BATCH);
        if (r < 0)
            return r;
        n = reap(ring, ring->parked + ring->parked_count, UCI_REAP_BATCH);
        ring->parked_count += n;
    } while (n);
    return 0;
}

uint32_t uci_ring_parked_terminal(const uc_ring *ring)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < ring->parked_count; i++)
        n += IS_TERMINAL(&ring->parked[i]);
    return n;
}

static bool is_about(const struct uci_completion *completion, int number)
{
    return uci_user_data_kind(completion->user_data) <= UCI_KIND_FD_LAST &&
           uci_user_data_index(completion->user_data) == (uint32_t)number;
}

int uci_ring_reap_one(uc_ring *ring, int number)
{
    uint32_t kept = 0, all;
    int r = uci_ring_park_all(ring);

    if (r == 0)
        r = uci_ring_reserve_records(ring, 1, 0);
    if (r < 0)
        return r;
    all = ring->parked_count;
    for (uint32_t i = 0; i < all; i++) {
        struct uci_completion completion = ring->parked[i];

        if (is_about(&completion, number) ||
            uci_user_data_kind(completion.user_data) == UCI_KIND_CANCEL)
            uci_flow_complete(ring, &completion);
        else
            ring->parked[kept++] = completion;
    }
    ring->parked_count = kept;
    return 0;
}

bool uci_ring_is_parked(const uc_ring *ring, uint64_t user_data)
{
    for (uint32_t i = 0; i < ring->parked_count; i++)
        if (ring->parked[i].user_data == user_data && IS_TERMINAL(&ring->parked[i]))
            return true;
    return false;
}

static int park_lost(uc_ring *ring, uint64_t user_data)
{
    int r;

    if (!user_data || uci_ring_is_parked(ring, user_data))
        return 0;
    r = reserve_parked(ring, 1);
    if (r < 0)
        return r;
    ring->parked[ring->parked_count++] = (struct uci_completion){
        .user_data = user_data,
        .result = -ECANCELED,
        .flags = UCI_COMPLETION_LOST,
    };
    return 0;
}

static int park_lost_slot(uc_ring *ring, const struct uci_slot *slot)
{
    int r = 0;

    if (slot->kind != UCI_KIND_READ_MANY)
        return park_lost(ring, uci_user_data(slot->kind, slot->generation, slot->index));
    for (uint32_t part = 0; part < slot->many.count && r == 0; part++)
        if (!uci_flow_part_has_ended(slot, part))
            r = park_lost(ring, uci_flow_part(slot, part));
    return r;
}

static int park_lost_of(uc_ring *ring, const uc_fd *fd)
{
    uint64_t user_data, number = 0;
    int r = 0;

    for (int lane = 0; lane < UCI_LANES && r == 0; lane++)
        r = park_lost(ring, fd->lanes[lane]);
    while (r == 0 && (user_data = uci_zero_copy_walk(&fd->zero_copy, &number)))
        r = park_lost(ring, user_data);
    return r;
}

/* After the kernel has let go of everything: operations whose completion did not reach us (never
 * submitted, or lost with mapped rings) end as cancelled. */
int uci_ring_park_lost(uc_ring *ring)
{
    struct uci_link *link;
    struct uci_slot *slot;
    int r = park_lost(ring, ring->wake.user_data);

    for (link = ring->attached.next; link != &ring->attached && r == 0; link = link->next)
        r = park_lost_of(ring, UCI_CONTAINER(link, uc_fd, attached));
    for (uint32_t i = 0; (slot = uci_slot_at(&ring->slots, i)) && r == 0; i++)
        if (slot->kind)
            r = park_lost_slot(ring, slot);
    /* What is left are cancellations, whose completions say nothing. */
    ring->stats.completions += ring->outstanding;
    ring->outstanding = uci_ring_parked_terminal(ring);
    ring->stats.completions -= ring->outstanding;
    return r;
}

/* How many completions may be carried through without making more records than there is room for. */
static uint32_t carry_limit(const uc_ring *ring, bool bounded)
{
    uint32_t room = uci_events_room(&ring->events), n = room / UCI_RECORDS_PER_COMPLETION;

    if (!bounded || n > UCI_REAP_BATCH)
        return UCI_REAP_BATCH;
    return n || !room ? n : 1;
}

int uci_ring_carry(uc_ring *ring, bool bounded)
{
    struct uci_completion batch[UCI_REAP_BATCH];
    uint32_t n, carried = 0;
    int r;

    while ((n = carry_limit(ring, bounded))) {
        r = uci_ring_reserve_records(ring, n, 0);
        if (r < 0)
            return r;
        n = uci_ring_next_completions(ring, batch, n);
        if (!n)
            break;
        for (uint32_t i = 0; i < n; i++)
            uci_flow_complete(ring, &batch[i]);
        carried += n;
    }
    return carried > INT32_MAX ? INT32_MAX : (int)carried;
}
