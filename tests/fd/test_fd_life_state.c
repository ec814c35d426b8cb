/* The life of a descriptor, read off the table: state, input -> next state, action. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fd/life_state.h"

#define STATE(name) UC_FD_##name
#define AT(state, input, next_state, what)                                                         \
    {STATE(state), UCI_LIFE_##input, STATE(next_state), UCI_LIFE_##what}

struct row {
    enum uc_fd_state state;
    enum uci_life_input input;
    enum uc_fd_state next;
    enum uci_life_action action;
};

static void check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct uci_life_step step = uci_life_step(rows[i].state, rows[i].input);

        assert_int_equal(step.next, rows[i].next);
        assert_int_equal(step.action, rows[i].action);
    }
}

#define CHECK_ROWS(...)                                                                            \
    do {                                                                                           \
        static const struct row rows[] = {__VA_ARGS__};                                            \
        check(rows, sizeof(rows) / sizeof(rows[0]));                                               \
        assert_int_equal(sizeof(rows) / sizeof(rows[0]), UCI_LIFE_INPUTS);                         \
    } while (0)

/* clang-format off */
static void open_(void **state)
{
    CHECK_ROWS(
        AT(OPEN,        PEER_END, HALF_CLOSED, NOTHING),
        AT(OPEN,        CLOSE,    DRAINING,    STOP_READING),
        AT(OPEN,        ABORT,    CLOSING,     CANCEL_ALL),
        AT(OPEN,        DRAINED,  OPEN,        NOTHING),
        AT(OPEN,        QUIET,    OPEN,        NOTHING));
}

static void half_closed(void **state)
{
    CHECK_ROWS(
        AT(HALF_CLOSED, PEER_END, HALF_CLOSED, NOTHING),
        AT(HALF_CLOSED, CLOSE,    DRAINING,    STOP_READING),
        AT(HALF_CLOSED, ABORT,    CLOSING,     CANCEL_ALL),
        AT(HALF_CLOSED, DRAINED,  HALF_CLOSED, NOTHING),
        AT(HALF_CLOSED, QUIET,    HALF_CLOSED, NOTHING));
}

static void draining(void **state)
{
    CHECK_ROWS(
        AT(DRAINING,    PEER_END, DRAINING,    NOTHING),
        AT(DRAINING,    CLOSE,    DRAINING,    REFUSE),
        AT(DRAINING,    ABORT,    CLOSING,     CANCEL_ALL),
        AT(DRAINING,    DRAINED,  CLOSING,     CANCEL_ALL),
        AT(DRAINING,    QUIET,    DRAINING,    NOTHING));
}

static void closing(void **state)
{
    CHECK_ROWS(
        AT(CLOSING,     PEER_END, CLOSING,     NOTHING),
        AT(CLOSING,     CLOSE,    CLOSING,     REFUSE),
        AT(CLOSING,     ABORT,    CLOSING,     REFUSE),
        AT(CLOSING,     DRAINED,  CLOSING,     NOTHING),
        AT(CLOSING,     QUIET,    CLOSED,      REPORT));
}

static void closed(void **state)
{
    CHECK_ROWS(
        AT(CLOSED,      PEER_END, CLOSED,      NOTHING),
        AT(CLOSED,      CLOSE,    CLOSED,      REFUSE),
        AT(CLOSED,      ABORT,    CLOSED,      REFUSE),
        AT(CLOSED,      DRAINED,  CLOSED,      NOTHING),
        AT(CLOSED,      QUIET,    CLOSED,      NOTHING));
}
/* clang-format on */

static void life_never_goes_back(void **state)
{
    for (int from = UC_FD_OPEN; from <= UC_FD_CLOSED; from++)
        for (int input = 0; input < UCI_LIFE_INPUTS; input++)
            assert_true(uci_life_step(from, input).next >= from);
}

static void every_life_ends_with_one_report(void **state)
{
    for (int from = UC_FD_OPEN; from < UC_FD_CLOSED; from++)
        for (int order = 0; order < 2; order++) {
            int at = from, reports = 0;

            if (order)
                at = uci_life_step(at, UCI_LIFE_CLOSE).next;
            at = uci_life_step(at, order ? UCI_LIFE_DRAINED : UCI_LIFE_ABORT).next;
            for (int i = 0; i < 3; i++) {
                struct uci_life_step step = uci_life_step(at, UCI_LIFE_QUIET);

                at = step.next;
                reports += step.action == UCI_LIFE_REPORT;
            }
            assert_int_equal(at, UC_FD_CLOSED);
            assert_int_equal(reports, 1);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_),
        cmocka_unit_test(half_closed),
        cmocka_unit_test(draining),
        cmocka_unit_test(closing),
        cmocka_unit_test(closed),
        cmocka_unit_test(life_never_goes_back),
        cmocka_unit_test(every_life_ends_with_one_report),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
