/*
 * Road 2: a completion finds the state it belongs to.
 *
 * The 64 bits name a descriptor or a slot by index and say of which life they are. If that is not
 * the current one the completion is stale: what it carries is given back, and it is counted. By the
 * rules of close.c this cannot happen; the counter is the tripwire.
 */
#include <stdlib.h>

#include "flow/flow.h"

struct uc_event *uci_flow_record(uc_fd *fd, enum uc_event_kind kind, int32_t result)
{
    struct uc_event *event = uci_events_push(&fd->ring->events);

    *event = (struct uc_event){
        .kind = kind,
        .fd = fd->fd,
        .result = result,
        .cookie = fd->cookie,
    };
    fd->ring->stats.events++;
    return event;
}

static void stale(uc_ring *ring, const struct uci_completion *completion)
{
    uint32_t kind = uci_user_data_kind(completion->user_data);

    ring->stats.stale++;
    if (completion->flags & UCI_COMPLETION_BUFFER)
        uci_pool_recycle(ring->pool, completion->buffer);
    if ((kind == UCI_KIND_ACCEPT || kind == UCI_KIND_OPENAT) && completion->result >= 0)
        ring->backend->table->close(completion->result);
}

/* Nothing interrupts the kernel's workers but a cancellation and the end of the ring. How a splice
 * says so depends on the kernel: up to 6.12 with EINTR. */
int32_t uci_flow_result(const struct uci_slot *slot, int32_t result)
{
    if (result == -EINTR || uci_flow_is_restart(result))
        result = -ECANCELED;
    return result == -ECANCELED && slot->is_late ? -ETIME : result;
}

void uci_flow_end_slot(uc_ring *ring, struct uci_slot *slot, int32_t result)
{
    struct uc_event *event = uci_events_push(&ring->events);

    *event = (struct uc_event){
        .kind = UC_EVENT_OPERATION,
        .fd = -1,
        .result = result,
        .cookie = slot->cookie,
    };
    ring->stats.events++;
    uci_flow_end_timers(ring, slot);
    uci_slot_release(&ring->slots, slot);
}

static void complete_slot(uc_ring *ring, const struct uci_completion *completion)
{
    uint64_t user_data = completion->user_data;
    struct uci_slot *slot =
        uci_slot_find(&ring->slots, uci_user_data_kind(user_data),
                      uci_user_data_generation(user_data), uci_user_data_index(user_data));

    if (!slot) {
        stale(ring, completion);
        return;
    }
    /* Nobody will take this record. */
    if (ring->ending && slot->kind == UCI_KIND_OPENAT && completion->result >= 0)
        ring->backend->table->close(completion->result);
    uci_flow_end_slot(ring, slot, uci_flow_result(slot, completion->result));
}

static void complete_cancel_slot(uc_ring *ring, const struct uci_completion *completion)
{
    struct uci_slot *slot = uci_slot_at(&ring->slots, uci_user_data_index(completion->user_data));

    if (completion->result != -ENOENT || ring->dying || !slot || !slot->kind ||
        slot->generation != uci_user_data_generation(completion->user_data))
        return;
    uci_flow_cancel_later(ring, slot);
}

static enum uci_lane lane_of(uint32_t kind)
{
    if (kind == UCI_KIND_POLL)
        return UCI_LANE_POLL;
    return kind == UCI_KIND_RECV || kind == UCI_KIND_ACCEPT ? UCI_LANE_READ : UCI_LANE_WRITE;
}

/* A zero-copy send leaves its lane although a notice will come. */
static void complete_lane(uc_fd *fd, enum uci_lane lane, const struct uci_completion *completion)
{
    uint32_t kind = uci_user_data_kind(completion->user_data);

    if (!(completion->flags & UCI_COMPLETION_MORE) || kind == UCI_KIND_SEND) {
        fd->lanes[lane] = 0;
        fd->in_flight--;
        if (fd->life <= UC_FD_DRAINING)
            uci_flow_arm_later(fd);
    }
    if (lane == UCI_LANE_READ)
        uci_flow_complete_read(fd, completion);
    else if (kind == UCI_KIND_SEND)
        uci_flow_complete_send(fd, completion);
    else if (kind == UCI_KIND_CONNECT)
        uci_flow_complete_connect(fd, completion);
    else
        uci_flow_complete_poll(fd, completion);
}

static void complete_fd(uc_ring *ring, const struct uci_completion *completion)
{
    uint32_t kind = uci_user_data_kind(completion->user_data);
    uc_fd *fd = uci_fd_table_find(&ring->fds, uci_user_data_index(completion->user_data));
    enum uci_lane lane = lane_of(kind);

    if (fd && fd->lanes[lane] == completion->user_data) {
        complete_lane(fd, lane, completion);
    } else if (!fd || !uci_flow_complete_notice(fd, completion)) {
        stale(ring, completion);
        return;
    }

    /* What completed may have ended the descriptor: look it up again. */
    fd = uci_fd_table_find(&ring->fds, uci_user_data_index(completion->user_data));
    if (fd && fd->life == UC_FD_CLOSING && uci_fd_is_quiet(fd))
        uci_flow_life(fd, UCI_LIFE_QUIET);
}

/* What no caller has asked for by itself. */
static void complete_own(uc_ring *ring, const struct uci_completion *completion)
{
    bool known = true;

    switch (uci_user_data_kind(completion->user_data)) {
    case UCI_KIND_CANCEL:
        break;
    case UCI_KIND_CANCEL_SLOT:
        complete_cancel_slot(ring, completion);
        break;
    case UCI_KIND_CANCEL_PART:
        uci_flow_complete_cancel_part(ring, completion);
        break;
    case UCI_KIND_WAKE:
        uci_wake_complete(ring, completion);
        break;
    case UCI_KIND_DEADLINE:
    case UCI_KIND_CANCEL_LATER:
        known = uci_flow_complete_timer(ring, completion);
        break;
    case UCI_KIND_PART:
        known = uci_flow_complete_part(ring, completion);
        break;
    default:
        known = false;
        break;
    }
    if (!known)
        stale(ring, completion);
}

void uci_flow_complete(uc_ring *ring, const struct uci_completion *completion)
{
    uint32_t kind = uci_user_data_kind(completion->user_data);

    if (!(completion->flags & UCI_COMPLETION_MORE)) {
        ring->outstanding--;
        ring->stats.completions++;
    }
    if (kind >= UCI_KIND_RECV && kind <= UCI_KIND_FD_LAST)
        complete_fd(ring, completion);
    else if (kind > UCI_KIND_FD_LAST && kind <= UCI_KIND_SLOT_LAST)
        complete_slot(ring, completion);
    else
        complete_own(ring, completion);
}
