/*
 * A forked child closes its copies of the rings' descriptors at once.
 *
 * While a child holds one, the kernel cannot let go of the ring: a parent that gives it up from
 * another thread would wait in vain, and its listening ports would stay taken. A child made by a
 * bare clone() does not come through here; it still is told by the wiped page, and closes when it
 * frees its handles.
 */
#include <pthread.h>
#include <unistd.h>

#include "ring/ring.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct uci_link rings = {&rings, &rings};
static int install_result;

static void before(void)
{
    pthread_mutex_lock(&lock);
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
