/*
 * Road 2 for listening sockets: what is odd in accepting.
 *
 * A multishot accept keeps its place at the head of the socket's queue of waiters, and the kernel
 * wakes one: of several processes that share the socket, one would get every connection. So with
 * UC_FD_SHARED an accept is armed for each connection and goes to the tail. That alone would cost a
 * burst a turn for each connection: if one came in the turn before as well, what waits is accepted
 * with plain system calls.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flow/flow.h"

#define ACCEPTS_AT_ONCE 32

/* A connection that was gone before it could be accepted. */
bool uci_flow_is_accept_error(int32_t result)
{
    return result == -ECONNABORTED || result == -EPROTO;
}

void uci_flow_keep_accept(uc_fd *fd, int connection)
{
    struct uci_kept_accepts *kept = &fd->accepts;
    uint32_t capacity = kept->capacity ? kept->capacity * 2 : 16;
    int *fds;

    if (kept->count == kept->capacity) {
        fds = realloc(kept->fds, capacity * sizeof(*fds));
        if (!fds) {
            fd->ring->backend->table->close(connection);
            return;
        }
        kept->fds = fds;
        kept->capacity = capacity;
    }
    kept->fds[kept->count++] = connection;
}

int uci_flow_take_accept(uc_fd *fd)
{
    struct uci_kept_accepts *kept = &fd->accepts;
    int connection = kept->fds[0];

    memmove(kept->fds, kept->fds + 1, --kept->count * sizeof(*kept->fds));
    return connection;
}

void uci_flow_accept_more(uc_fd *fd)
{
    bool in_a_row = fd->turn && fd->turn + 1 >= fd->ring->turn;
    int connections[ACCEPTS_AT_ONCE];
    uint32_t count = 0;

    fd->turn = fd->ring->turn;
    if (in_a_row)
        count = fd->ring->backend->table->accept(fd->fd, connections, ACCEPTS_AT_ONCE);
    for (uint32_t i = 0; i < count; i++)
        uci_flow_keep_accept(fd, connections[i]);
    if (fd->accepts.count)
        uci_flow_hold(fd);
}

static bool is_accepting(const uc_fd *fd)
{
    return fd->read_kind == UCI_KIND_ACCEPT && fd->lanes[UCI_LANE_READ] &&
           !uci_ring_is_parked(fd->ring, fd->lanes[UCI_LANE_READ]);
}

/* Cut accepting off. Who still wants to accept is armed again at the next turn. */
void uci_flow_cancel_accepts(uc_ring *ring)
{
    for (struct uci_link *link = ring->attached.next; link != &ring->attached; link = link->next) {
        uc_fd *fd = UCI_CONTAINER(link, uc_fd, attached);

        if (is_accepting(fd))
            uci_flow_cancel_lane(fd, UCI_LANE_READ);
    }
}

bool uci_flow_is_accepting(const uc_ring *ring)
{
    for (struct uci_link *link = ring->attached.next; link != &ring->attached; link = link->next)
        if (is_accepting(UCI_CONTAINER(link, uc_fd, attached)))
            return true;
    return false;
}

/* Connections that are open in the parent and that no record has told of yet. In a child nobody will
 * ever know of its copies: while they are open, the peers see no end when the parent closes. */
void uci_flow_close_untold(uc_ring *ring)
{
    struct uci_events *events = &ring->events;

    for (struct uci_link *link = ring->attached.next; link != &ring->attached; link = link->next) {
        struct uci_kept_accepts *kept = &UCI_CONTAINER(link, uc_fd, attached)->accepts;

        while (kept->count)
            close(kept->fds[--kept->count]);
    }
    for (; events->count; events->count--) {
        const struct uc_event *event = &events->queue[events->first];

        if (event->kind == UC_EVENT_ACCEPT && event->result >= 0)
            close(event->result);
        events->first = (events->first + 1) & (events->capacity - 1);
    }
    while (ring->parked_count) {
        const struct uci_completion *parked = &ring->parked[--ring->parked_count];

        if (uci_user_data_kind(parked->user_data) == UCI_KIND_ACCEPT && parked->result >= 0)
            close(parked->result);
    }
}
