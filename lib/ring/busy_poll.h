/* Looking for completions instead of sleeping: see busy_poll.c. */
#pragma once

#include <stdint.h>
#include <uc/ring.h>

struct uci_busy_poll {
    uint64_t budget_ns; /* how long one look lasts at most; 0: never looks */
    uint32_t luck;      /* how many looks in vain it takes to stop looking */
    uint32_t pause;     /* waits to let pass from one try to the next, once it has stopped */
    uint32_t passed;    /* of these */
};

/* Before a wait of up to @limit (nanoseconds; negative: for ever): submit what is queued and look,
 * if it seems worth while. @limit becomes what is left of it, 0 if there is something to take.
 * Return: 0, or what entering the kernel was refused with. */
int uci_busy_poll(uc_ring *ring, int64_t *limit);
