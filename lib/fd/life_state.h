/*
 * The life of an attached descriptor, from uc_fd_attach() to UC_EVENT_CLOSED, as a table. States
 * are the public enum uc_fd_state.
 */
#pragma once

#include <stdint.h>
#include <uc/fd.h>

enum uci_life_input {
    UCI_LIFE_PEER_END, /* the peer sends no more */
    UCI_LIFE_CLOSE,    /* close, and something is queued to be sent */
    UCI_LIFE_ABORT,    /* close, nothing is queued, or what is queued is dropped */
    UCI_LIFE_DRAINED,  /* the send queue is empty, or a send has failed */
    UCI_LIFE_QUIET,    /* nothing is in flight */
    UCI_LIFE_INPUTS
};

enum uci_life_action {
    UCI_LIFE_NOTHING,
    UCI_LIFE_STOP_READING, /* cancel the read side and drop what was kept; go on sending */
    UCI_LIFE_CANCEL_ALL,   /* drop the queue, cancel every operation */
    UCI_LIFE_REPORT,       /* close the descriptor or give it back, and make the last record */
    UCI_LIFE_REFUSE,       /* -EALREADY */
};

struct uci_life_step {
    uint8_t next;
    uint8_t action;
};

struct uci_life_step uci_life_step(enum uc_fd_state state, enum uci_life_input input);
