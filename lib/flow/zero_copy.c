/*
 * Sending without a copy, on both roads.
 *
 * What is odd in the kernel, and what follows:
 *
 *   - To the machine's own addresses the data is copied all the same, when it is received: dearer
 *     than copying it first. So the socket is looked at once. Else the kernel is asked to report
 *     whether it had to copy (a device that cannot gather, a bridge into a container), and after
 *     the first such report it is no longer asked for.
 *   - The report of a send that took nothing says "copied".
 *   - A notice cannot be cancelled: it comes when the peer has acknowledged the bytes, which may be
 *     never, or when the connection is reset. So an abort resets it.
 *   - Pages are charged to RLIMIT_MEMLOCK while they are read: without memory for them the send is
 *     refused, and the next one copies.
 */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "flow/flow.h"

static bool is_loopback(const struct sockaddr_storage *address)
{
    const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;

    if (address->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
}

static bool is_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr)) == 0;
}

static uint8_t look_at(const uc_fd *fd)
{
    struct sockaddr_storage peer, own;
    socklen_t peer_bytes = sizeof(peer), own_bytes = sizeof(own), bytes = sizeof(int);
    int protocol;

    if (!(fd->ring->backend->features & UC_FEATURE_SEND_ZERO_COPY))
        return UC_ZERO_COPY_UNSUPPORTED;
    if (getsockopt(fd->fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &bytes) < 0 ||
        protocol != IPPROTO_TCP || getpeername(fd->fd, (struct sockaddr *)&peer, &peer_bytes) < 0 ||
        getsockname(fd->fd, (struct sockaddr *)&own, &own_bytes) < 0)
        return UC_ZERO_COPY_UNSUPPORTED;
    return is_loopback(&peer) || is_same_host(&peer, &own) ? UC_ZERO_COPY_LOCAL
                                                           : UC_ZERO_COPY_IN_USE;
}

static bool is_wanted(uc_fd *fd)
{
    struct uci_zero_copy *zero_copy = &fd->zero_copy;

    if (fd->queue.wish == UCI_SEND_COPYING)
        return false;
    if (zero_copy->state == UC_ZERO_COPY_OFF)
        zero_copy->state = look_at(fd);
    if (zero_copy->state == UC_ZERO_COPY_UNSUPPORTED)
        return false;
    return zero_copy->state == UC_ZERO_COPY_IN_USE || fd->queue.wish == UCI_SEND_ZERO_COPY;
}

void uci_flow_prepare_zero_copy(uc_fd *fd, struct uci_operation *operation)
{
    if (!is_wanted(fd))
        return;
    if (fd->zero_copy.copy_once || !uci_zero_copy_has_room(&fd->zero_copy)) {
        fd->zero_copy.copy_once = false;
        return;
    }
    operation->shape |= UCI_OPERATION_ZERO_COPY;
    if (operation->op == UCI_OP_SEND &&
        uci_flow_is_registered(fd->ring, (const void *)(uintptr_t)operation->address,
                               operation->length))
        operation->shape |= UCI_OPERATION_FIXED;
}

void uci_flow_zero_copy_armed(uc_fd *fd)
{
    fd->zero_copy.in_lane = true;
    fd->ring->zero_copy_in_flight++;
}

uint64_t uci_flow_end_zero_copy(uc_fd *fd, const struct uci_completion *completion)
{
    uc_ring *ring = fd->ring;
    bool took = completion->result > 0;

    fd->zero_copy.in_lane = false;
    ring->stats.zero_copy_sends += took;
    if (completion->flags & UCI_COMPLETION_MORE)
        return uci_zero_copy_expect(&fd->zero_copy, completion->user_data, took);
    ring->zero_copy_in_flight--;
    return 0;
}

bool uci_flow_must_copy(uc_fd *fd, int32_t result)
{
    if (result == -ENOMEM || result == -ENOBUFS)
        fd->zero_copy.copy_once = true;
    else if (result == -EOPNOTSUPP || result == -EINVAL)
        fd->zero_copy.state = UC_ZERO_COPY_UNSUPPORTED;
    else
        return false;
    return true;
}

bool uci_flow_complete_notice(uc_fd *fd, const struct uci_completion *completion)
{
    struct uci_zero_copy *zero_copy = &fd->zero_copy;
    uc_ring *ring = fd->ring;
    bool took;

    if (!uci_zero_copy_take(zero_copy, completion->user_data, &took))
        return false;
    ring->zero_copy_in_flight--;
    if (took && (completion->flags & UCI_COMPLETION_COPIED)) {
        ring->stats.zero_copy_copied++;
        if (zero_copy->state == UC_ZERO_COPY_IN_USE)
            zero_copy->state = UC_ZERO_COPY_COPIED;
    }
    if (fd->life != UC_FD_CLOSING)
        uci_flow_unpin(fd);
    return true;
}

void uci_flow_reset(uc_fd *fd)
{
    if (fd->zero_copy.reset || (!fd->zero_copy.outstanding && !fd->zero_copy.in_lane))
        return;
    fd->zero_copy.reset = true;
    (void)fd->ring->backend->table->reset(fd->fd);
}

void uci_flow_hurry_notices(uc_fd *fd)
{
    if (fd->aborted)
        uci_flow_reset(fd);
    else if (fd->zero_copy.outstanding && !fd->keep_descriptor)
        (void)fd->ring->backend->table->shutdown(fd->fd);
}
