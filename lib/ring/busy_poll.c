/*
 * Whether it is worth while to look for completions for some time before going to sleep.
 *
 * Being woken takes the kernel a few microseconds, and in a virtual machine, where the interrupt
 * that wakes a CPU leaves the guest, tens of them, on both sides. Who is answered sooner than that
 * is better off looking: it costs less CPU time than the sleep and the waking would. Who is not
 * has looked in vain. So it is tried, and given up soon where it finds nothing: then it is tried
 * again at every 16th wait, at every 32nd after the next failure, and so on up to every 1024th.
 */
#include "base/clock.h"
#include "ring/ring.h"

#define LUCK_MAX 8
#define PAUSE_MIN 16
#define PAUSE_MAX 1024
#define LOOKS_PER_CLOCK 16

/* Whether this wait is one to look in. */
static bool wants(struct uci_busy_poll *poll)
{
    if (!poll->budget_ns)
        return false;
    if (poll->luck)
        return true;
    if (++poll->passed < poll->pause)
        return false;
    poll->passed = 0;
    return true;
}

/* How a look ended. */
static void note(struct uci_busy_poll *poll, bool found)
{
    if (found) {
        poll->luck = poll->luck < LUCK_MAX ? poll->luck + 1 : LUCK_MAX;
        poll->pause = PAUSE_MIN;
    } else if (poll->luck) {
        poll->luck--;
    } else if (poll->pause < PAUSE_MAX) {
        poll->pause = poll->pause ? poll->pause * 2 : PAUSE_MIN;
    }
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool look(uc_ring *ring, uint64_t until_ns)
{
    const struct uci_backend *backend = ring->backend;

    do {
        for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
            if (backend->table->has_news(backend))
                return true;
            relax();
        }
    } while (uci_clock_now_ns() < until_ns);
    return false;
}

int uci_busy_poll(uc_ring *ring, int64_t *limit)
{
    uint64_t begin, budget = ring->busy_poll.budget_ns;
    bool found;

    if (!ring->backend->table->has_news || !wants(&ring->busy_poll))
        return 0;
    if (ring->backend->queued) {
        int r = uci_ring_enter(ring, false, 0);

        if (r < 0)
            return r;
        /* What submitting has brought about itself, such as the end of a send, says nothing of how
         * soon others answer. */
        if (ring->backend->table->has_news(ring->backend)) {
            *limit = 0;
            return 0;
        }
    }
    if (*limit > 0 && (uint64_t)*limit < budget)
        budget = (uint64_t)*limit;
    begin = uci_clock_now_ns();
    found = look(ring, begin + budget);
    note(&ring->busy_poll, found);
    ring->stats.busy_polls++;
    ring->stats.busy_poll_hits += found;
    if (found)
        *limit = 0;
    else if (*limit > 0) /* 1 ns when all of it is over: 0 would not wait for the rest */
        *limit = (uint64_t)*limit > budget ? *limit - (int64_t)budget : 1;
    return 0;
}
