/*
 * Zero-copy sends as a test wants them, on top of whatever backend the ring has: the bytes are sent
 * with a copy, and the notice comes when the test says so, and says what the test wants.
 */
#pragma once

#include "ring/ring.h"
#include "support.h"

#define SIM_SENDS 256

struct sim_send {
    uint64_t user_data;
    uint8_t op, shape; /* as submitted */
    uint64_t address;
    uint32_t length;
    int32_t result;
    bool completed, noticed;
};

struct sim {
    struct uci_backend_table table;
    const struct uci_backend_table *real;
    struct sim_send sends[SIM_SENDS]; /* zero-copy ones, in order */
    uint32_t count, outstanding;      /* whose notice is to come */
    uint32_t resets;
    int32_t refuse_with; /* the next one: 0: it is not refused */
    bool refusal_has_notice;
    uint32_t cut_to; /* the next one of a single part takes no more bytes; 0: all */
    struct uci_completion ready[2 * SIM_SENDS]; /* made up, to be reaped */
    uint32_t ready_count;
};

/* There is one at a time. It goes with the ring. */
struct sim *sim_install(struct uct *t);

/* The notice of a send, counted from 0. */
void sim_notice(struct sim *sim, uint32_t send, bool copied);
void sim_notice_all(struct sim *sim);
