#include "fd/read_state.h"

#include <errno.h>

#define ROW(state) [UCI_READ_##state]
#define ON(input, next_state, what) [UCI_READ_##input] = {UCI_READ_##next_state, UCI_READ_##what, 0}
#define NO(input, same_state, code)                                                                \
    [UCI_READ_##input] = {UCI_READ_##same_state, UCI_READ_REFUSE, code}
#define BUG(input, same_state) ON(input, same_state, IMPOSSIBLE)

/* clang-format off */
static const struct uci_read_step table[UCI_READ_STATES][UCI_READ_INPUTS] = {
    ROW(IDLE) = {
        ON(START,    WAITING,    NOTHING),
        NO(STOP,     IDLE,       EALREADY),
        ON(THROTTLE, IDLE,       NOTHING),
        BUG(ARM,     IDLE),
        BUG(DATA,    IDLE),
        BUG(LAST,    IDLE),
        BUG(BROKEN,  IDLE),
        BUG(END,     IDLE),
    },
    ROW(WAITING) = {
        NO(START,    WAITING,    EALREADY),
        ON(STOP,     IDLE,       NOTHING),
        ON(THROTTLE, WAITING,    NOTHING),
        ON(ARM,      ARMED,      NOTHING),
        BUG(DATA,    WAITING),
        BUG(LAST,    WAITING),
        BUG(BROKEN,  WAITING),
        BUG(END,     WAITING),
    },
    ROW(ARMED) = {
        NO(START,    ARMED,      EALREADY),
        ON(STOP,     STOPPING,   CANCEL),
        ON(THROTTLE, RESTARTING, CANCEL),
        BUG(ARM,     ARMED),
        ON(DATA,     ARMED,      DELIVER),
        ON(LAST,     WAITING,    DELIVER),
        ON(BROKEN,   WAITING,    NOTHING),
        ON(END,      ENDED,      DELIVER),
    },
    ROW(STOPPING) = {
        ON(START,    RESTARTING, NOTHING),
        NO(STOP,     STOPPING,   EALREADY),
        ON(THROTTLE, STOPPING,   NOTHING),
        BUG(ARM,     STOPPING),
        ON(DATA,     STOPPING,   KEEP),
        ON(LAST,     IDLE,       KEEP),
        ON(BROKEN,   IDLE,       NOTHING),
        ON(END,      ENDING,     KEEP),
    },
    ROW(RESTARTING) = {
        NO(START,    RESTARTING, EALREADY),
        ON(STOP,     STOPPING,   NOTHING),
        ON(THROTTLE, RESTARTING, NOTHING),
        BUG(ARM,     RESTARTING),
        ON(DATA,     RESTARTING, DELIVER),
        ON(LAST,     WAITING,    DELIVER),
        ON(BROKEN,   WAITING,    NOTHING),
        ON(END,      ENDED,      DELIVER),
    },
    ROW(ENDING) = {
        ON(START,    ENDED,      DELIVER_END),
        NO(STOP,     ENDING,     EALREADY),
        ON(THROTTLE, ENDING,     NOTHING),
        BUG(ARM,     ENDING),
        BUG(DATA,    ENDING),
        BUG(LAST,    ENDING),
        BUG(BROKEN,  ENDING),
        BUG(END,     ENDING),
    },
    ROW(ENDED) = {
        NO(START,    ENDED,      ENOTCONN),
        NO(STOP,     ENDED,      EALREADY),
        ON(THROTTLE, ENDED,      NOTHING),
        BUG(ARM,     ENDED),
        BUG(DATA,    ENDED),
        BUG(LAST,    ENDED),
        BUG(BROKEN,  ENDED),
        BUG(END,     ENDED),
    },
};
/* clang-format on */

struct uci_read_step uci_read_step(enum uci_read_state state, enum uci_read_input input)
{
    return table[state][input];
}
