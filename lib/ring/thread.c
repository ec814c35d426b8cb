/* Which thread runs a ring. */
#include <unistd.h>

#include "ring/ring.h"

static __thread pid_t thread_id;

pid_t uci_thread_id(void)
{
    if (!thread_id)
        thread_id = gettid();
    return thread_id;
}

void uci_thread_forget(void)
{
    thread_id = 0;
}

int uci_ring_check_owner(uc_ring *ring)
{
    if (ring->owner && ring->owner != uci_thread_id())
        return -EPERM;
    return ring->fatal;
}

int uci_ring_adopt(uc_ring *ring)
{
    int r;

    if (ring->owner)
        return 0;
    r = ring->backend->table->enable(ring->backend);
    if (r < 0)
        return uci_ring_fail(ring, r);
    ring->owner = uci_thread_id();
    return 0;
}

UC_EXPORT int uc_ring_enable(uc_ring *ring)
{
    CHECK_ARG(ring);
    CHECK_PROCESS(ring);
    if (ring->owner == 0)
        return uci_ring_adopt(ring);
    if (ring->owner == uci_thread_id())
        return ring->fatal;
    return uci_ring_rehome(ring);
}
