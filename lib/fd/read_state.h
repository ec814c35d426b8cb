/*
 * The read side of one descriptor as a state machine: a table, and nothing else. It covers
 * receiving and accepting. It makes no calls; it says what is to be done.
 *
 *   IDLE        the caller does not want data; nothing is in the kernel
 *   WAITING     wanted, to be armed at the next turn (as soon as there are buffers and credit)
 *   ARMED       wanted, in the kernel
 *   STOPPING    no longer wanted, being cancelled
 *   RESTARTING  wanted, while an earlier one is still being cancelled
 *   ENDING      the end is known but the caller does not want to hear of it yet
 *   ENDED       the end has been delivered
 */
#pragma once

#include <stdint.h>

enum uci_read_state {
    UCI_READ_IDLE,
    UCI_READ_WAITING,
    UCI_READ_ARMED,
    UCI_READ_STOPPING,
    UCI_READ_RESTARTING,
    UCI_READ_ENDING,
    UCI_READ_ENDED,
    UCI_READ_STATES
};

enum uci_read_input {
    UCI_READ_START,    /* the caller wants data */
    UCI_READ_STOP,     /* the caller wants no more */
    UCI_READ_THROTTLE, /* credit for undelivered bytes is used up */
    UCI_READ_ARM,      /* the operation has been queued */
    UCI_READ_DATA,     /* a completion with data, more to come */
    UCI_READ_LAST,     /* a terminal completion with data */
    UCI_READ_BROKEN,   /* a terminal completion without data that is not the end: cancelled,
                          no buffer, interrupted */
    UCI_READ_END,      /* a terminal completion: the peer's end, or an error */
    UCI_READ_INPUTS
};

enum uci_read_action {
    UCI_READ_NOTHING,
    UCI_READ_CANCEL,      /* cancel what is in the kernel */
    UCI_READ_DELIVER,     /* make a record */
    UCI_READ_KEEP,        /* keep it for the next start */
    UCI_READ_DELIVER_END, /* what was kept has been asked for: records, the end last */
    UCI_READ_REFUSE,      /* the call is answered with uci_read_step.error */
    UCI_READ_IMPOSSIBLE,  /* a mistake in libuc */
};

struct uci_read_step {
    uint8_t next;
    uint8_t action;
    uint8_t error; /* errno */
};

struct uci_read_step uci_read_step(enum uci_read_state state, enum uci_read_input input);
