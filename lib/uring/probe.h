/* What io_uring can here, found out by doing it; seen by those who choose a backend. */
#pragma once

#include <stdint.h>

/* Where the functional probe stopped. */
enum uci_probe_step {
    UCI_PROBE_DONE,
    UCI_PROBE_SETUP,   /* making the ring */
    UCI_PROBE_ENABLE,  /* binding it to the thread */
    UCI_PROBE_SOCKETS, /* making the socketpair: nothing to do with io_uring */
    UCI_PROBE_WAIT,    /* a timed wait for what does not come */
    UCI_PROBE_RECEIVE, /* a byte that comes */
    UCI_PROBE_CANCEL,  /* ending a receive */
};

struct uci_ability {
    int error; /* 0 or the negative errno of the step that failed; -EIO: it did the wrong thing */
    enum uci_probe_step step;
    uint64_t features; /* of the ring, when it could be made */
};

/* Make a small ring, move a byte through it, and free it. Within a second. */
void uci_uring_probe(struct uci_ability *ret_ability);

/* Return: the features of UC_FEATURE_COOP_TASKRUN, _SQPOLL and _REGISTERED_BUFFERS that work, each
 * tried by a ring that asks for it. */
uint64_t uci_uring_probe_special(void);

/* The locked memory that the kernel charges for a ring with so many buffers at most, where it does
 * (before 5.12, and from 6.14 on). */
uint64_t uci_uring_locked_bytes(uint32_t sq_entries, uint32_t cq_entries, uint32_t buffers);
