#include "fd/life_state.h"

#define ROW(state) [UC_FD_##state]
#define ON(input, next_state, what) [UCI_LIFE_##input] = {UC_FD_##next_state, UCI_LIFE_##what}

/* clang-format off */
static const struct uci_life_step table[UC_FD_CLOSED + 1][UCI_LIFE_INPUTS] = {
    ROW(OPEN) = {
        ON(PEER_END, HALF_CLOSED, NOTHING),
        ON(CLOSE,    DRAINING,    STOP_READING),
        ON(ABORT,    CLOSING,     CANCEL_ALL),
        ON(DRAINED,  OPEN,        NOTHING),
        ON(QUIET,    OPEN,        NOTHING),
    },
    ROW(HALF_CLOSED) = {
        ON(PEER_END, HALF_CLOSED, NOTHING),
        ON(CLOSE,    DRAINING,    STOP_READING),
        ON(ABORT,    CLOSING,     CANCEL_ALL),
        ON(DRAINED,  HALF_CLOSED, NOTHING),
        ON(QUIET,    HALF_CLOSED, NOTHING),
    },
    ROW(DRAINING) = {
        ON(PEER_END, DRAINING,    NOTHING),
        ON(CLOSE,    DRAINING,    REFUSE),
        ON(ABORT,    CLOSING,     CANCEL_ALL),
        ON(DRAINED,  CLOSING,     CANCEL_ALL),
        ON(QUIET,    DRAINING,    NOTHING),
    },
    ROW(CLOSING) = {
        ON(PEER_END, CLOSING,     NOTHING),
        ON(CLOSE,    CLOSING,     REFUSE),
        ON(ABORT,    CLOSING,     REFUSE),
        ON(DRAINED,  CLOSING,     NOTHING),
        ON(QUIET,    CLOSED,      REPORT),
    },
    ROW(CLOSED) = {
        ON(PEER_END, CLOSED,      NOTHING),
        ON(CLOSE,    CLOSED,      REFUSE),
        ON(ABORT,    CLOSED,      REFUSE),
        ON(DRAINED,  CLOSED,      NOTHING),
        ON(QUIET,    CLOSED,      NOTHING),
    },
};
/* clang-format on */

struct uci_life_step uci_life_step(enum uc_fd_state state, enum uci_life_input input)
{
    return table[state][input];
}
