#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <uc/error.h>
#include <uc/version.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/versioned.h"

/* the first release of a struct, the one this library knows, and one of the future */
struct first {
    uint32_t size;
    uint32_t a;
};

struct known {
    uint32_t size;
    uint32_t a;
    uint64_t b;
};

struct future {
    uint32_t size;
    uint32_t a;
    uint64_t b;
    uint64_t c;
};

static int take_in(struct known *known, const void *given)
{
    return uci_struct_in(known, sizeof *known, sizeof(struct first), given);
}

static int give_out(void *given, const struct known *known)
{
    return uci_struct_out(given, known, sizeof *known, sizeof(struct first));
}

static void an_equal_struct_is_taken_whole(void **state)
{
    struct known known = {.a = 1, .b = 2};
    struct known given = {.size = sizeof given, .a = 10, .b = 20};

    assert_int_equal(take_in(&known, &given), 0);
    assert_int_equal(known.a, 10);
    assert_int_equal(known.b, 20);
}

static void an_older_struct_leaves_the_defaults_it_does_not_know(void **state)
{
    struct known known = {.a = 1, .b = 2};
    struct first given = {.size = sizeof given, .a = 10};

    assert_int_equal(take_in(&known, &given), 0);
    assert_int_equal(known.a, 10);
    assert_int_equal(known.b, 2);
}

static void a_newer_struct_with_a_zero_tail_is_taken(void **state)
{
    struct known known = {.a = 1, .b = 2};
    struct future given = {.size = sizeof given, .a = 10, .b = 20};

    assert_int_equal(take_in(&known, &given), 0);
    assert_int_equal(known.a, 10);
    assert_int_equal(known.b, 20);
}

static void an_unknown_tail_is_refused_and_changes_nothing(void **state)
{
    for (size_t i = sizeof(struct known); i < sizeof(struct future); i++) {
        struct known known = {.a = 1, .b = 2};
        struct future given = {.size = sizeof given, .a = 10, .b = 20};

        ((uint8_t *)&given)[i] = 0x80;
        assert_int_equal(take_in(&known, &given), -E2BIG);
        assert_int_equal(known.a, 1);
        assert_int_equal(known.b, 2);
    }
}

static void an_impossible_size_is_refused_and_changes_nothing(void **state)
{
    static const uint32_t sizes[] = {0, 1, 4, 7, 9, 15, 4097, 8192, 1u << 31, UINT32_MAX};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct known known = {.a = 1, .b = 2};
        struct known given = {.size = sizes[i], .a = 10, .b = 20};

        assert_int_equal(take_in(&known, &given), -EINVAL);
        assert_int_equal(known.a, 1);
        assert_int_equal(known.b, 2);
        assert_int_equal(give_out(&given, &known), -EINVAL);
        assert_int_equal(given.a, 10);
        assert_int_equal(given.b, 20);
    }
}

static void an_answer_keeps_the_callers_size_and_fills_the_rest(void **state)
{
    struct known known = {.size = 99, .a = 1, .b = 2};
    struct known given = {.size = sizeof given};

    assert_int_equal(give_out(&given, &known), 0);
    assert_int_equal(given.size, sizeof given);
    assert_int_equal(given.a, 1);
    assert_int_equal(given.b, 2);
}

static void an_answer_never_writes_beyond_an_older_struct(void **state)
{
    struct known known = {.a = 1, .b = 2};
    struct known given = {.size = sizeof(struct first), .b = 77};

    assert_int_equal(give_out(&given, &known), 0);
    assert_int_equal(given.a, 1);
    assert_int_equal(given.b, 77);
}

static void an_answer_to_a_newer_struct_ends_with_zeros(void **state)
{
    struct known known = {.a = 1, .b = 2};
    struct future given = {.size = sizeof given, .c = 77};

    assert_int_equal(give_out(&given, &known), 0);
    assert_int_equal(given.size, sizeof given);
    assert_int_equal(given.a, 1);
    assert_int_equal(given.b, 2);
    assert_int_equal(given.c, 0);
}

static void an_errno_has_its_name_whatever_its_sign(void **state)
{
    assert_string_equal(uc_error_name(ECHILD), "ECHILD");
    assert_string_equal(uc_error_name(-ECHILD), "ECHILD");
    assert_string_equal(uc_error_name(EPERM), "EPERM");
    assert_string_equal(uc_error_name(-EAGAIN), "EAGAIN");
    assert_string_equal(uc_error_name(-EOPNOTSUPP), "EOPNOTSUPP");
    assert_string_equal(uc_error_name(-EHWPOISON), "EHWPOISON");
    assert_string_equal(uc_error_name(-ECANCELED), "ECANCELED");
}

static void every_errno_that_libc_knows_has_a_name(void **state)
{
    for (int error = 1; error < 200; error++) {
        int is_known = strncmp(strerror(error), "Unknown error", strlen("Unknown error")) != 0;
        int has_name = strcmp(uc_error_name(error), "unknown error") != 0;

        assert_int_equal(has_name, is_known);
        assert_ptr_equal(uc_error_name(error), uc_error_name(-error));
    }
}

static void what_is_no_errno_is_called_unknown(void **state)
{
    static const int numbers[] = {0, 41, 58, 134, -134, 4096, INT_MAX, -INT_MAX, INT_MIN};

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_string_equal(uc_error_name(numbers[i]), "unknown error");
}

static void the_version_is_the_headers(void **state)
{
    char expected[64];

    snprintf(expected, sizeof expected, "%d.%d.%d", UC_VERSION_MAJOR, UC_VERSION_MINOR,
             UC_VERSION_PATCH);
    assert_string_equal(uc_version(), expected);
    assert_int_equal(uc_abi_version(), UC_ABI_VERSION);
}

static void the_clock_never_goes_back(void **state)
{
    uint64_t before = uci_clock_now_ns();

    assert_true(before > 0);
    for (int i = 0; i < 1000; i++) {
        uint64_t now = uci_clock_now_ns();

        assert_true(now >= before);
        before = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_equal_struct_is_taken_whole),
        cmocka_unit_test(an_older_struct_leaves_the_defaults_it_does_not_know),
        cmocka_unit_test(a_newer_struct_with_a_zero_tail_is_taken),
        cmocka_unit_test(an_unknown_tail_is_refused_and_changes_nothing),
        cmocka_unit_test(an_impossible_size_is_refused_and_changes_nothing),
        cmocka_unit_test(an_answer_keeps_the_callers_size_and_fills_the_rest),
        cmocka_unit_test(an_answer_never_writes_beyond_an_older_struct),
        cmocka_unit_test(an_answer_to_a_newer_struct_ends_with_zeros),
        cmocka_unit_test(an_errno_has_its_name_whatever_its_sign),
        cmocka_unit_test(every_errno_that_libc_knows_has_a_name),
        cmocka_unit_test(what_is_no_errno_is_called_unknown),
        cmocka_unit_test(the_version_is_the_headers),
        cmocka_unit_test(the_clock_never_goes_back),
    };

    return cmocka_run_group_tests_name("base: versioned", tests, NULL, NULL);
}
