/*
 * The zero-copy sends of one descriptor.
 *
 * Such a send ends twice. Its completion says how much the kernel has taken: then the next send may
 * leave. A notice says that the kernel reads the memory no longer: with TCP that is when the peer
 * has acknowledged it. Between the two a send is in flight, but in no lane. Notices have numbers,
 * from 1 on, in the order of sending; they may come in any order.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define UCI_NOTICES_MAX 64 /* from the oldest that is waited for to the newest */

struct uci_notice {
    uint64_t user_data; /* of the send; 0: it has come */
    bool took;          /* the send took bytes: else what the notice says is about nothing */
};

/* Made for the first such send: most descriptors never have one. */
struct uci_notices {
    uint64_t first, next; /* numbers: all before @first have come, @next is of the next send */
    struct uci_notice of[UCI_NOTICES_MAX]; /* by number */
};

struct uci_zero_copy {
    uint64_t least_bytes; /* uc_fd_options.zero_copy_bytes */
    uint8_t state;        /* enum uc_zero_copy_state */
    bool in_lane;         /* the send in the write lane is one */
    bool copy_once;       /* there was no memory for it: the next send copies */
    bool reset;           /* the connection was, so that all notices come */
    uint32_t outstanding; /* notices */
    struct uci_notices *notices;
};

/* Whether one more can be waited for. */
bool uci_zero_copy_has_room(struct uci_zero_copy *zero_copy);

/* A send has ended and a notice will come. Return: its number. */
uint64_t uci_zero_copy_expect(struct uci_zero_copy *zero_copy, uint64_t user_data, bool took);

/* It has come. Return: false if none with this @user_data was waited for. */
bool uci_zero_copy_take(struct uci_zero_copy *zero_copy, uint64_t user_data, bool *ret_took);

/* The last number up to which all have come. There was such a send. */
static inline uint64_t uci_zero_copy_ended(const struct uci_zero_copy *zero_copy)
{
    return zero_copy->notices->first - 1;
}

/* The user_data of a send whose notice is waited for, the first with a number from *@number on, and
 * *@number moved behind it; 0: there is none. */
uint64_t uci_zero_copy_walk(const struct uci_zero_copy *zero_copy, uint64_t *number);

void uci_zero_copy_finish(struct uci_zero_copy *zero_copy);
