/* Road 1, the first half, for descriptors: what can be asked of them, except sending. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <uc/user_data.h>

#include "base/versioned.h"
#include "flow/flow.h"

#define CREDIT_OPS_MAX 16
#define CREDIT_BYTES_DEFAULT (UINT64_C(1) << 20)
#define HIGH_WATER_DEFAULT (UINT64_C(64) << 10)
#define LOW_WATER_DEFAULT (UINT64_C(16) << 10)

static int read_options(const struct uc_fd_options *given, struct uc_fd_options *options)
{
    int r;

    *options = (struct uc_fd_options){0};
    if (given) {
        r = uci_struct_in(options, sizeof(*options), sizeof(*options), given);
        if (r < 0)
            return r;
    }
    CHECK_ARG(!(options->flags & ~(uint32_t)(UC_FD_DATAGRAM | UC_FD_GATHER | UC_FD_SHARED)));
    CHECK_ARG(options->reserved == 0);
    CHECK_ARG(options->credit_ops <= CREDIT_OPS_MAX);
    CHECK_ARG(options->low_water <= options->high_water);
    if (options->credit_ops == 0)
        options->credit_ops = CREDIT_OPS_MAX;
    if (options->credit_bytes == 0)
        options->credit_bytes = CREDIT_BYTES_DEFAULT;
    if (options->high_water == 0) {
        options->high_water = HIGH_WATER_DEFAULT;
        options->low_water = LOW_WATER_DEFAULT;
    }
    return 0;
}

UC_EXPORT int uc_fd_attach(uc_ring *ring, int fd, const struct uc_fd_options *options,
                           uc_fd **ret_fd)
{
    struct uc_fd_options checked;
    uc_fd *record;
    int r;

    CHECK_RING(ring);
    CHECK_ARG(ret_fd);
    r = read_options(options, &checked);
    if (r < 0)
        return r;
    if (fd < 0 || fcntl(fd, F_GETFD) < 0)
        return -EBADF;
    if ((uint32_t)fd > UC_USER_DATA_INDEX_MAX)
        return -ERANGE;
    if (uci_fd_table_find(&ring->fds, (uint32_t)fd))
        return -EBUSY;
    r = uci_fd_table_reserve(&ring->fds, fd);
    if (r == 0)
        r = uci_ring_reserve_records(ring, 0, 1);
    if (r < 0)
        return r;
    record = uci_fd_new(ring, fd, &checked);
    if (!record)
        return -ENOMEM;
    ring->fds.entries[fd].fd = record;
    ring->fds.entries[fd].generation++;
    ring->attached_count++;
    uci_list_append(&ring->attached, &record->attached);
    *ret_fd = record;
    return 0;
}

UC_EXPORT uc_fd *uc_fd_free(uc_fd *fd)
{
    if (!fd)
        return NULL;
    if (!uci_origin_is_mine(fd->origin)) {
        uci_list_remove(&fd->attached);
        uci_list_remove(&fd->waiting);
        uci_list_remove(&fd->held);
        if (fd->account)
            uci_account_leave(fd->ring->pool, fd->account);
        uci_fd_delete(fd);
        return NULL;
    }
    if (!fd->ring) {
        uci_fd_delete(fd);
        return NULL;
    }
    fd->handle_freed = fd->silent = true;
    if (fd->life <= UC_FD_HALF_CLOSED)
        fd->keep_descriptor = true;
    if (uci_ring_check_owner(fd->ring) < 0)
        return NULL;
    /* The number may be closed from now on: nothing may look it up any more. */
    if (!uci_fd_is_quiet(fd) && fd->ring->backend->queued)
        (void)uci_ring_hand_over(fd->ring);
    if (fd->life <= UC_FD_DRAINING)
        uci_flow_life(fd, UCI_LIFE_ABORT);
    return NULL;
}

static int start_reading(uc_fd *fd, uint8_t kind, uint32_t once_bytes)
{
    bool busy = uci_fd_wants(fd) || fd->read == UCI_READ_STOPPING;
    struct uci_read_step step;

    if (fd->life > UC_FD_HALF_CLOSED)
        return -ESHUTDOWN;
    if (busy && fd->read_kind != kind)
        return -EBUSY;
    step = uci_fd_read(fd, UCI_READ_START);
    if (step.action == UCI_READ_REFUSE)
        return -step.error;
    fd->read_kind = kind;
    fd->once_bytes = once_bytes;
    if (fd->stash_first != UCI_BUFFER_NONE || fd->accepts.count || fd->kept_error ||
        step.action == UCI_READ_DELIVER_END)
        uci_flow_hold(fd);
    if (fd->read == UCI_READ_WAITING)
        uci_flow_arm_later(fd);
    return 0;
}

UC_EXPORT int uc_fd_recv_start(uc_fd *fd)
{
    CHECK_FD(fd);
    return start_reading(fd, UCI_KIND_RECV, 0);
}

UC_EXPORT int uc_fd_recv_once(uc_fd *fd, uint32_t max_bytes)
{
    CHECK_FD(fd);
    CHECK_ARG(max_bytes);
    return start_reading(fd, UCI_KIND_RECV, max_bytes);
}

UC_EXPORT int uc_fd_accept_start(uc_fd *fd)
{
    CHECK_FD(fd);
    return start_reading(fd, UCI_KIND_ACCEPT, 0);
}

UC_EXPORT int uc_fd_recv_stop(uc_fd *fd)
{
    bool end_undelivered;
    struct uci_read_step step;

    CHECK_FD(fd);
    /* The end was asked for but has not been given out yet: it is kept again. */
    end_undelivered = fd->read == UCI_READ_ENDED && uci_list_has(&fd->held);
    step = uci_fd_read(fd, UCI_READ_STOP);
    if (end_undelivered)
        fd->read = UCI_READ_ENDING;
    else if (step.action == UCI_READ_REFUSE)
        return -step.error;
    uci_list_remove(&fd->held);
    if (step.action == UCI_READ_CANCEL)
        uci_flow_cancel_lane(fd, UCI_LANE_READ);
    return 0;
}

UC_EXPORT int uc_fd_connect(uc_fd *fd, const void *address, uint32_t address_bytes)
{
    CHECK_FD(fd);
    CHECK_ARG(address && address_bytes && address_bytes <= UC_DATAGRAM_ADDRESS_BYTES);
    if (fd->life > UC_FD_HALF_CLOSED)
        return -ESHUTDOWN;
    if (fd->lanes[UCI_LANE_WRITE] || fd->connect_bytes || fd->in_flight >= fd->credit_ops)
        return -EBUSY;
    if (!fd->connect_address)
        fd->connect_address = malloc(sizeof(*fd->connect_address));
    if (!fd->connect_address)
        return -ENOMEM;
    memcpy(fd->connect_address, address, address_bytes);
    fd->connect_bytes = address_bytes;
    uci_flow_arm_later(fd);
    return 0;
}

UC_EXPORT int uc_fd_poll(uc_fd *fd, uint32_t events)
{
    CHECK_FD(fd);
    CHECK_ARG(events);
    if (fd->life > UC_FD_HALF_CLOSED)
        return -ESHUTDOWN;
    if (!fd->lanes[UCI_LANE_POLL] && fd->in_flight >= fd->credit_ops)
        return -EBUSY;
    if (fd->poll_events != events)
        uci_flow_cancel_lane(fd, UCI_LANE_POLL);
    fd->poll_events = events;
    uci_flow_arm_later(fd);
    return 0;
}

UC_EXPORT int uc_fd_poll_stop(uc_fd *fd)
{
    CHECK_FD(fd);
    if (!fd->poll_events)
        return -EALREADY;
    fd->poll_events = 0;
    uci_flow_cancel_lane(fd, UCI_LANE_POLL);
    return 0;
}

UC_EXPORT int uc_fd_set_credit(uc_fd *fd, uint32_t ops, uint64_t bytes)
{
    CHECK_FD(fd);
    CHECK_ARG(ops && ops <= CREDIT_OPS_MAX && bytes);
    fd->credit_ops = ops;
    fd->credit_bytes = bytes;
    uci_flow_arm_later(fd);
    return 0;
}

UC_EXPORT int uc_fd_set_gather(uc_fd *fd, uint32_t on)
{
    CHECK_FD(fd);
    CHECK_ARG(on <= 1 && !(fd->flags & UC_FD_DATAGRAM));
    fd->flags = on ? fd->flags | UC_FD_GATHER : fd->flags & ~(uint32_t)UC_FD_GATHER;
    return 0;
}

UC_EXPORT int uc_fd_get_status(uc_fd *fd, struct uc_fd_status *ret_status)
{
    struct uc_fd_status status;

    CHECK_FD(fd);
    CHECK_ARG(ret_status);
    status = (struct uc_fd_status){
        .state = fd->life,
        .fd = fd->fd,
        .receiving = uci_fd_wants(fd),
        .in_flight = fd->in_flight + fd->zero_copy.outstanding,
        .credit_ops = fd->credit_ops,
        .credit_bytes = fd->credit_bytes,
        .undelivered_bytes = fd->stash_bytes,
        .queued_bytes = fd->queue.bytes,
        .zero_copy = fd->zero_copy.state,
        .leased_bytes = fd->account->leased_bytes,
    };
    return uci_struct_out(ret_status, &status, sizeof(status), sizeof(status));
}
