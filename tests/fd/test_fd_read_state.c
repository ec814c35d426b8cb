/* The read side, read off the table: state, input -> next state, action, errno. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fd/read_state.h"

#define AT(state, input, next_state, what, error)                                                  \
    {UCI_READ_##state, UCI_READ_##input, UCI_READ_##next_state, UCI_READ_##what, error}

struct row {
    enum uci_read_state state;
    enum uci_read_input input;
    enum uci_read_state next;
    enum uci_read_action action;
    int error;
};

static void check(const struct row *rows, size_t count)
{
    assert_int_equal(count, UCI_READ_INPUTS);
    for (size_t i = 0; i < count; i++) {
        struct uci_read_step step = uci_read_step(rows[i].state, rows[i].input);

        assert_int_equal(step.next, rows[i].next);
        assert_int_equal(step.action, rows[i].action);
        assert_int_equal(step.error, rows[i].error);
    }
}

#define CHECK_ROWS(...)                                                                            \
    do {                                                                                           \
        static const struct row rows[] = {__VA_ARGS__};                                            \
        check(rows, sizeof(rows) / sizeof(rows[0]));                                               \
    } while (0)

/* clang-format off */
static void idle(void **state)
{
    CHECK_ROWS(
        AT(IDLE,       START,    WAITING,    NOTHING,     0),
        AT(IDLE,       STOP,     IDLE,       REFUSE,      EALREADY),
        AT(IDLE,       THROTTLE, IDLE,       NOTHING,     0),
        AT(IDLE,       ARM,      IDLE,       IMPOSSIBLE,  0),
        AT(IDLE,       DATA,     IDLE,       IMPOSSIBLE,  0),
        AT(IDLE,       LAST,     IDLE,       IMPOSSIBLE,  0),
        AT(IDLE,       BROKEN,   IDLE,       IMPOSSIBLE,  0),
        AT(IDLE,       END,      IDLE,       IMPOSSIBLE,  0));
}

static void waiting(void **state)
{
    CHECK_ROWS(
        AT(WAITING,    START,    WAITING,    REFUSE,      EALREADY),
        AT(WAITING,    STOP,     IDLE,       NOTHING,     0),
        AT(WAITING,    THROTTLE, WAITING,    NOTHING,     0),
        AT(WAITING,    ARM,      ARMED,      NOTHING,     0),
        AT(WAITING,    DATA,     WAITING,    IMPOSSIBLE,  0),
        AT(WAITING,    LAST,     WAITING,    IMPOSSIBLE,  0),
        AT(WAITING,    BROKEN,   WAITING,    IMPOSSIBLE,  0),
        AT(WAITING,    END,      WAITING,    IMPOSSIBLE,  0));
}

static void armed(void **state)
{
    CHECK_ROWS(
        AT(ARMED,      START,    ARMED,      REFUSE,      EALREADY),
        AT(ARMED,      STOP,     STOPPING,   CANCEL,      0),
        AT(ARMED,      THROTTLE, RESTARTING, CANCEL,      0),
        AT(ARMED,      ARM,      ARMED,      IMPOSSIBLE,  0),
        AT(ARMED,      DATA,     ARMED,      DELIVER,     0),
        AT(ARMED,      LAST,     WAITING,    DELIVER,     0),
        AT(ARMED,      BROKEN,   WAITING,    NOTHING,     0),
        AT(ARMED,      END,      ENDED,      DELIVER,     0));
}

static void stopping(void **state)
{
    CHECK_ROWS(
        AT(STOPPING,   START,    RESTARTING, NOTHING,     0),
        AT(STOPPING,   STOP,     STOPPING,   REFUSE,      EALREADY),
        AT(STOPPING,   THROTTLE, STOPPING,   NOTHING,     0),
        AT(STOPPING,   ARM,      STOPPING,   IMPOSSIBLE,  0),
        AT(STOPPING,   DATA,     STOPPING,   KEEP,        0),
        AT(STOPPING,   LAST,     IDLE,       KEEP,        0),
        AT(STOPPING,   BROKEN,   IDLE,       NOTHING,     0),
        AT(STOPPING,   END,      ENDING,     KEEP,        0));
}

static void restarting(void **state)
{
    CHECK_ROWS(
        AT(RESTARTING, START,    RESTARTING, REFUSE,      EALREADY),
        AT(RESTARTING, STOP,     STOPPING,   NOTHING,     0),
        AT(RESTARTING, THROTTLE, RESTARTING, NOTHING,     0),
        AT(RESTARTING, ARM,      RESTARTING, IMPOSSIBLE,  0),
        AT(RESTARTING, DATA,     RESTARTING, DELIVER,     0),
        AT(RESTARTING, LAST,     WAITING,    DELIVER,     0),
        AT(RESTARTING, BROKEN,   WAITING,    NOTHING,     0),
        AT(RESTARTING, END,      ENDED,      DELIVER,     0));
}

static void ending(void **state)
{
    CHECK_ROWS(
        AT(ENDING,     START,    ENDED,      DELIVER_END, 0),
        AT(ENDING,     STOP,     ENDING,     REFUSE,      EALREADY),
        AT(ENDING,     THROTTLE, ENDING,     NOTHING,     0),
        AT(ENDING,     ARM,      ENDING,     IMPOSSIBLE,  0),
        AT(ENDING,     DATA,     ENDING,     IMPOSSIBLE,  0),
        AT(ENDING,     LAST,     ENDING,     IMPOSSIBLE,  0),
        AT(ENDING,     BROKEN,   ENDING,     IMPOSSIBLE,  0),
        AT(ENDING,     END,      ENDING,     IMPOSSIBLE,  0));
}

static void ended(void **state)
{
    CHECK_ROWS(
        AT(ENDED,      START,    ENDED,      REFUSE,      ENOTCONN),
        AT(ENDED,      STOP,     ENDED,      REFUSE,      EALREADY),
        AT(ENDED,      THROTTLE, ENDED,      NOTHING,     0),
        AT(ENDED,      ARM,      ENDED,      IMPOSSIBLE,  0),
        AT(ENDED,      DATA,     ENDED,      IMPOSSIBLE,  0),
        AT(ENDED,      LAST,     ENDED,      IMPOSSIBLE,  0),
        AT(ENDED,      BROKEN,   ENDED,      IMPOSSIBLE,  0),
        AT(ENDED,      END,      ENDED,      IMPOSSIBLE,  0));
}

/* clang-format on */

static bool is_in_the_kernel(int state)
{
    return state == UCI_READ_ARMED || state == UCI_READ_STOPPING || state == UCI_READ_RESTARTING;
}

static void what_is_in_the_kernel_comes_back_by_a_terminal_completion_only(void **state)
{
    for (int from = 0; from < UCI_READ_STATES; from++)
        for (int input = 0; input < UCI_READ_INPUTS; input++) {
            bool terminal =
                input == UCI_READ_LAST || input == UCI_READ_BROKEN || input == UCI_READ_END;
            struct uci_read_step step = uci_read_step(from, input);

            if (is_in_the_kernel(from))
                assert_int_equal(is_in_the_kernel(step.next), !terminal);
            else
                assert_int_equal(is_in_the_kernel(step.next),
                                 from == UCI_READ_WAITING && input == UCI_READ_ARM);
        }
}

static void what_is_not_wanted_is_never_delivered(void **state)
{
    static const int unwanted[] = {UCI_READ_IDLE, UCI_READ_STOPPING, UCI_READ_ENDING};

    for (int i = 0; i < 3; i++)
        for (int input = UCI_READ_STOP; input < UCI_READ_INPUTS; input++)
            assert_int_not_equal(uci_read_step(unwanted[i], input).action, UCI_READ_DELIVER);
}

static void what_is_refused_or_impossible_changes_nothing(void **state)
{
    for (int from = 0; from < UCI_READ_STATES; from++)
        for (int input = 0; input < UCI_READ_INPUTS; input++) {
            struct uci_read_step step = uci_read_step(from, input);

            if (step.action == UCI_READ_REFUSE || step.action == UCI_READ_IMPOSSIBLE)
                assert_int_equal(step.next, from);
            assert_int_equal(step.error != 0, step.action == UCI_READ_REFUSE);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle),
        cmocka_unit_test(waiting),
        cmocka_unit_test(armed),
        cmocka_unit_test(stopping),
        cmocka_unit_test(restarting),
        cmocka_unit_test(ending),
        cmocka_unit_test(ended),
        cmocka_unit_test(what_is_in_the_kernel_comes_back_by_a_terminal_completion_only),
        cmocka_unit_test(what_is_not_wanted_is_never_delivered),
        cmocka_unit_test(what_is_refused_or_impossible_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
