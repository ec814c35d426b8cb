/* uc_probe() and uc_feature_describe(): what people are told. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "support.h"

static struct uc_probe probed(void)
{
    struct uc_probe probe = {.size = sizeof(probe)};

    if (uc_probe(&probe) != 0)
        probe.verdict = UINT32_MAX;
    return probe;
}

/* Every line of the remedy is a place, a tab, and a text. */
static bool is_well_formed(const char *remedy)
{
    while (*remedy) {
        size_t line = strcspn(remedy, "\n"), place = strcspn(remedy, "\t");

        if (remedy[line] != '\n' || place == 0 || place + 1 >= line)
            return false;
        remedy += line + 1;
    }
    return true;
}

static bool offers(const struct uc_probe *probe, const char *line)
{
    return is_well_formed(probe->remedy) && strstr(probe->remedy, line);
}

static void full_speed_needs_no_reason(void **state)
{
    struct uc_probe probe = probed();
    struct utsname name;

    assert_int_equal(uname(&name), 0);
    assert_int_equal(probe.backend, UC_BACKEND_URING);
    assert_int_equal(probe.error, 0);
    assert_int_equal(probe.asked_backend, UC_BACKEND_AUTO);
    assert_int_equal(probe.features_off, 0);
    assert_string_equal(probe.kernel, name.release);
    if (probe.kernel_major > 6 || (probe.kernel_major == 6 && probe.kernel_minor >= 14))
        assert_true(probe.memlock_needed >= 64 << 10);
    assert_true(is_well_formed(probe.remedy));
    if (probe.verdict == UC_VERDICT_FULL) {
        assert_string_equal(probe.reason, "");
        assert_string_equal(probe.remedy, "");
    } else {
        assert_int_equal(probe.verdict, UC_VERDICT_DEGRADED);
        assert_true(probe.reason[0] && probe.remedy[0]);
    }
}

static void nothing_is_left_of_a_probe(void **state)
{
    int before = uct_count_fds();

    for (int i = 0; i < 10; i++)
        probed();
    assert_int_equal(uct_count_fds(), before);
}

static int under_a_filter(void *argument)
{
    struct uc_probe probe;

    UCT_CHECK(uct_forbid(SYS_io_uring_setup, EPERM));
    probe = probed();
    UCT_CHECK(probe.error == -EPERM && probe.features == 0);
    UCT_CHECK(probe.seccomp_mode == 2);
    UCT_CHECK(probe.verdict == UC_VERDICT_DEGRADED && probe.backend == UC_BACKEND_EPOLL);
    UCT_CHECK(offers(&probe, "docker\tdocker run --security-opt seccomp="));
    UCT_CHECK(offers(&probe, "systemd\tSystemCallFilter=io_uring_setup"));
    UCT_CHECK(setenv("UC_BACKEND", "uring", 1) == 0);
    probe = probed();
    UCT_CHECK(probe.verdict == UC_VERDICT_NONE && probe.backend == 0);
    UCT_CHECK(probe.error == -EPERM && strstr(probe.reason, "seccomp"));
    return 0;
}

static void under_a_filter_the_profile_to_change_is_told(void **state)
{
    assert_int_equal(uct_in_child(under_a_filter, NULL), 0);
}

static int without_memory(void *argument)
{
    struct uc_probe probe;

    UCT_CHECK(uct_become_nobody(0));
    probe = probed();
    UCT_CHECK(probe.error == -ENOMEM);
    UCT_CHECK(probe.memlock_bytes == 0 && !probe.memlock_exempt);
    UCT_CHECK(probe.backend == UC_BACKEND_EPOLL);
    UCT_CHECK(strstr(probe.reason, "RLIMIT_MEMLOCK"));
    UCT_CHECK(offers(&probe, "shell\tulimit -l 8192"));
    UCT_CHECK(offers(&probe, "systemd\tLimitMEMLOCK="));
    return 0;
}

struct memory {
    uint64_t bytes;
    bool suffices;
};

static int with_memory(void *argument)
{
    const struct memory *memory = argument;
    const struct uc_ring_options options = {.size = sizeof(options), .backend = UC_BACKEND_URING};
    struct uc_ring_info info = {.size = sizeof(info)};
    uc_ring *ring;
    int r;

    UCT_CHECK(uct_become_nobody(memory->bytes));
    r = uc_ring_new(&options, &ring);
    /* What a ring that was too large had locked may come back too late for the next one. */
    if (r == -ENOMEM && !memory->suffices)
        return 0;
    UCT_CHECK(r == 0);
    UCT_CHECK(uc_ring_get_info(ring, &info) == 0);
    uc_ring_free(ring);
    UCT_CHECK((info.halvings == 0) == memory->suffices);
    UCT_CHECK(memory->suffices || strstr(info.reason, "RLIMIT_MEMLOCK"));
    return 0;
}

static int with_little_memory(void *argument)
{
    struct uc_probe probe;

    UCT_CHECK(uct_become_nobody(88 << 10));
    probe = probed();
    UCT_CHECK(probe.error == 0);
    UCT_CHECK(probe.verdict == UC_VERDICT_DEGRADED && probe.backend == UC_BACKEND_URING);
    UCT_CHECK(strstr(probe.reason, "RLIMIT_MEMLOCK"));
    UCT_CHECK(offers(&probe, "shell\tulimit -l 8192"));
    return 0;
}

static void without_locked_memory_the_limit_to_raise_is_told(void **state)
{
    if (!uct_can_limit_rings())
        skip();
    assert_int_equal(uct_in_child(without_memory, NULL), 0);
    assert_int_equal(uct_in_child(with_little_memory, NULL), 0);
}

static void the_memory_that_is_needed_suffices_and_less_does_not(void **state)
{
    struct memory enough = {probed().memlock_needed, true};
    struct memory little = {enough.bytes - (uint64_t)sysconf(_SC_PAGESIZE), false};

    if (!uct_can_limit_rings())
        skip();
    assert_int_equal(uct_in_child(with_memory, &enough), 0);
    assert_int_equal(uct_in_child(with_memory, &little), 0);
}

static int with_environment(void *argument)
{
    struct uc_probe probe;

    UCT_CHECK(setenv("UC_DISABLE", "bundle", 1) == 0);
    probe = probed();
    UCT_CHECK(probe.verdict == UC_VERDICT_DEGRADED && probe.backend == UC_BACKEND_URING);
    UCT_CHECK(probe.features_off == UC_FEATURE_RECV_BUNDLE);
    UCT_CHECK(probe.error == 0);
    UCT_CHECK(probe.reason[0] && probe.remedy[0]);
    UCT_CHECK(unsetenv("UC_DISABLE") == 0 && setenv("UC_BACKEND", "epoll", 1) == 0);
    probe = probed();
    UCT_CHECK(probe.verdict == UC_VERDICT_DEGRADED && probe.backend == UC_BACKEND_EPOLL);
    UCT_CHECK(probe.error == -ECANCELED && probe.features == 0);
    UCT_CHECK(probe.asked_backend == UC_BACKEND_EPOLL);
    UCT_CHECK(strstr(probe.reason, "UC_BACKEND"));
    UCT_CHECK(offers(&probe, "environment\tunset UC_BACKEND"));
    return 0;
}

static void what_the_environment_changes_is_told(void **state)
{
    assert_int_equal(uct_in_child(with_environment, NULL), 0);
}

static void features_that_are_switched_off_still_work(void **state)
{
    uint64_t works = probed().features;

    setenv("UC_DISABLE", "all", 1);
    assert_int_equal(probed().features, works);
    unsetenv("UC_DISABLE");
}

static void every_feature_is_described(void **state)
{
    struct uc_feature_info info = {.size = sizeof(info)}, wrong = {.size = 2};
    unsigned major, minor;
    uint64_t bit = 1;

    for (; uc_feature_name(bit); bit *= 2) {
        assert_int_equal(uc_feature_describe(bit, &info), 0);
        assert_string_equal(info.name, uc_feature_name(bit));
        assert_int_equal(sscanf(info.since, "%u.%u", &major, &minor), 2);
        assert_in_range(major, 5, 9);
        assert_in_range(strlen(info.purpose), 5, 60);
        assert_in_range(strlen(info.instead), 5, 60);
        assert_true(info.use <= UC_FEATURE_USE_REQUEST);
    }
    assert_int_equal(uc_feature_describe(bit, &info), -EINVAL);
    assert_int_equal(uc_feature_describe(0, &info), -EINVAL);
    assert_int_equal(uc_feature_describe(3, &info), -EINVAL);
    assert_int_equal(uc_feature_describe(1, NULL), -EINVAL);
    assert_int_equal(uc_feature_describe(1, &wrong), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_speed_needs_no_reason),
        cmocka_unit_test(nothing_is_left_of_a_probe),
        cmocka_unit_test(under_a_filter_the_profile_to_change_is_told),
        cmocka_unit_test(without_locked_memory_the_limit_to_raise_is_told),
        cmocka_unit_test(the_memory_that_is_needed_suffices_and_less_does_not),
        cmocka_unit_test(what_the_environment_changes_is_told),
        cmocka_unit_test(features_that_are_switched_off_still_work),
        cmocka_unit_test(every_feature_is_described),
    };

    unsetenv("UC_BACKEND");
    unsetenv("UC_DISABLE");
    return UCT_RUN_ON_URING("probe", tests);
}
