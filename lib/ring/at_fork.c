/*
 * A forked child closes its copies of the rings' descriptors at once.
 *
 * While a child holds one, the kernel cannot let go of the ring: a parent that gives it up from
 * another thread would wait in vain, and its listening ports would stay taken. A child made by a
 * bare clone() does not come through here; it still is told by the wiped page, and closes when it
 * frees its handles.
 *
 * Between the call that makes a ring's descriptor and the list that the child goes by, and between
 * the list and close(), a fork in another thread would leave the child a copy that nobody knows of.
 * So nobody forks while a ring is made, moved or freed: that is under the lock that a fork takes.
 *
 * If it is the thread that runs a ring that forks, the child also closes connections that the ring
 * has accepted and not handed out. If another forks, the ring's own data may be about to change, and
 * is left alone.
 *
 * Where the kernel does not wait for our entries it goes on accepting: with SQPOLL in its thread, up
 * to the very moment of the fork; without deferred task work in any system call of ours, the fork's
 * own too. Of 600 children of a busy server with SQPOLL, 3 held a connection that nobody knew of.
 * So there accepting rests: it is cancelled before, and what was cut off is armed again at the next
 * turn. Those who connect meanwhile wait in the listening socket.
 */
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "flow/flow.h"

#define REST_NS UINT64_C(100000000) /* for the kernel's thread to find a CPU */
#define REST_SLICE_NS INT64_C(1000000)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct uci_link rings = {&rings, &rings};
static int install_result;
static pid_t forking; /* the parent's thread, while the lock is held */

static bool is_at_rest(const uc_ring *ring)
{
    return ring->owner == forking && !ring->events.out;
}

/* Have the kernel accept nothing more. It is given up when that takes too long. */
static void rest(uc_ring *ring)
{
    uint64_t deadline = uci_clock_now_ns() + REST_NS;
    int r = 0;

    if (ring->fatal || ring->info.backend != UC_BACKEND_URING ||
        (ring->backend->features & UC_FEATURE_DEFER_TASKRUN))
        return;
    uci_flow_cancel_accepts(ring);
    while (r == 0 && uci_flow_is_accepting(ring) && uci_clock_now_ns() < deadline) {
        r = uci_ring_enter(ring, true, REST_SLICE_NS);
        if (r == 0 || r == -EINTR)
            r = uci_ring_park_all(ring);
    }
}

static void before(void)
{
    pthread_mutex_lock(&lock);
    forking = uci_thread_id();
    for (struct uci_link *link = rings.next; link != &rings; link = link->next) {
        uc_ring *ring = UCI_CONTAINER(link, uc_ring, every);

        if (!is_at_rest(ring) || uci_ring_park_all(ring) < 0)
            continue; /* parked: out of the kernel, which may tell the child nothing */
        rest(ring);
    }
}

static void after_in_parent(void)
{
    pthread_mutex_unlock(&lock);
}

static void after_in_child(void)
{
    uci_thread_forget();
    while (!uci_list_is_empty(&rings)) {
        uc_ring *ring = UCI_CONTAINER(rings.next, uc_ring, every);

        uci_list_remove(&ring->every);
        if (is_at_rest(ring))
            uci_flow_close_untold(ring);
        ring->backend->table->free(ring->backend, true);
        ring->backend = NULL;
        uci_wake_finish(ring);
        if (ring->embed_fd >= 0)
            close(ring->embed_fd);
        ring->embed_fd = -1;
    }
    pthread_mutex_unlock(&lock);
}

static void install(void)
{
    install_result = pthread_atfork(before, after_in_parent, after_in_child);
}

int uci_at_fork_hold(void)
{
    pthread_once(&once, install);
    if (install_result)
        return -install_result;
    pthread_mutex_lock(&lock);
    return 0;
}

void uci_at_fork_release(void)
{
    pthread_mutex_unlock(&lock);
}

void uci_at_fork_add(uc_ring *ring)
{
    uci_list_append(&rings, &ring->every);
}

void uci_at_fork_remove(uc_ring *ring)
{
    uci_list_remove(&ring->every);
}
