/* Road 1, the first half, for what is sent: the send queue and the end of the write side. */
#include "flow/flow.h"

#define SEND_BYTES_MAX (UINT64_C(1) << 40)
#define DATAGRAM_BYTES_MAX 65536

static int check_writable(const uc_fd *fd)
{
    if (fd->life > UC_FD_HALF_CLOSED || fd->shutdown_asked)
        return -ESHUTDOWN;
    return fd->send_error ? -EPIPE : 0;
}

static int64_t queued(uc_fd *fd)
{
    if (fd->queue.bytes > fd->high_water)
        fd->low_water_owed = true;
    uci_flow_arm_later(fd);
    return (int64_t)fd->queue.bytes;
}

static enum uci_send_wish wish_for(const uc_fd *fd, uint64_t bytes, uint32_t flags)
{
    uint64_t least = fd->zero_copy.least_bytes;

    if (flags & UC_SEND_ZERO_COPY)
        return UCI_SEND_ZERO_COPY;
    return least && bytes >= least ? UCI_SEND_ZERO_COPY_IF_IT_PAYS : UCI_SEND_COPYING;
}

UC_EXPORT int64_t uc_fd_send(uc_fd *fd, const void *data, uint64_t bytes, uint32_t flags)
{
    const uint32_t referring = UC_SEND_REFERENCE | UC_SEND_ZERO_COPY;
    int r;

    CHECK_FD(fd);
    CHECK_ARG(data && bytes && bytes <= SEND_BYTES_MAX);
    CHECK_ARG(!(flags & ~referring) && !(fd->flags & UC_FD_DATAGRAM));
    r = check_writable(fd);
    if (r == 0 && (flags & referring))
        r = uci_send_queue_reference(&fd->queue, data, bytes, wish_for(fd, bytes, flags));
    else if (r == 0)
        r = uci_send_queue_copy(&fd->queue, &fd->ring->send_cache, data, bytes);
    return r < 0 ? r : queued(fd);
}

UC_EXPORT int64_t uc_fd_send_to(uc_fd *fd, const void *data, uint64_t bytes, const void *address,
                                uint32_t address_bytes)
{
    int r;

    CHECK_FD(fd);
    CHECK_ARG((data || !bytes) && bytes <= DATAGRAM_BYTES_MAX && (fd->flags & UC_FD_DATAGRAM));
    CHECK_ARG(!address == !address_bytes && address_bytes <= UC_DATAGRAM_ADDRESS_BYTES);
    r = check_writable(fd);
    if (r == 0)
        r = uci_send_queue_datagram(&fd->queue, data, bytes, address, address_bytes);
    return r < 0 ? r : queued(fd);
}

UC_EXPORT int uc_fd_set_water_marks(uc_fd *fd, uint64_t high, uint64_t low)
{
    CHECK_FD(fd);
    CHECK_ARG(low <= high);
    fd->high_water = high;
    fd->low_water = low;
    if (fd->queue.bytes > high)
        fd->low_water_owed = true;
    return 0;
}

UC_EXPORT int uc_fd_shutdown(uc_fd *fd)
{
    int r;

    CHECK_FD(fd);
    CHECK_ARG(!(fd->flags & UC_FD_DATAGRAM));
    if (fd->shutdown_asked)
        return -EALREADY;
    r = check_writable(fd);
    if (r < 0)
        return r;
    fd->shutdown_asked = true;
    uci_flow_shutdown_if_drained(fd);
    return 0;
}
