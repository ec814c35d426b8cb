/*
 * A forked child closes its copies of the rings' descriptors at once.
 *
 * While a child holds one, the kernel cannot let go of the ring: a parent that gives it up from
 * another thread would wait in vain, and its listening ports would stay taken. A child made by a
 * bare clone() does not come through here; it still is told by the wiped page, and closes when it
 * frees its handles.
 *
 * If it is the thread that runs a ring that forks, the child also closes connections that the ring
 * has accepted and not handed out. If another forks, the ring's own data may be about to change, and
 * is left alone.
 */
#include <pthread.h>
#include <unistd.h>

#include "flow/flow.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct uci_link rings = {&rings, &rings};
static int install_result;
static pid_t forking; /* the parent's thread, while the lock is held */

static bool is_at_rest(const uc_ring *ring)
{
    return ring->owner == forking && !ring->events.out;
}

static void before(void)
{
    pthread_mutex_lock(&lock);
    forking = uci_thread_id();
    for (struct uci_link *link = rings.next; link != &rings; link = link->next) {
        uc_ring *ring = UCI_CONTAINER(link, uc_ring, every);

        if (is_at_rest(ring))
            (void)uci_ring_park_all(ring); /* out of the kernel, which may tell the child nothing */
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

int uci_at_fork_add(uc_ring *ring)
{
    pthread_once(&once, install);
    if (install_result)
        return -install_result;
    pthread_mutex_lock(&lock);
    uci_list_append(&rings, &ring->every);
    pthread_mutex_unlock(&lock);
    return 0;
}

void uci_at_fork_remove(uc_ring *ring)
{
    pthread_mutex_lock(&lock);
    uci_list_remove(&ring->every);
    pthread_mutex_unlock(&lock);
}
