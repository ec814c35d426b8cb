/* Which backend a ring gets, seen from inside: kernels that are not this one, the sentences, the
 * functional probe, and what is remembered of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "choice/choice.h"
#include "choice/sentences.h"
#include "support.h"

static const struct uci_ability able = {.features = UC_FEATURE_BUFFER_RING};

static struct uci_refusal judge(uint32_t major, uint32_t minor, const struct uci_ability *ability)
{
    const struct uci_policies policies = {.kernel_major = major, .kernel_minor = minor};

    return uci_choice_judge(&policies, ability);
}

static void a_kernel_before_5_15_is_too_old_whatever_it_can(void **state)
{
    static const uint32_t old[][2] = {{0, 0}, {4, 4}, {4, 20}, {5, 1}, {5, 11}, {5, 14}};

    for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++) {
        struct uci_refusal refusal = judge(old[i][0], old[i][1], &able);

        assert_int_equal(refusal.error, -EOPNOTSUPP);
        assert_int_equal(refusal.step, UCI_PROBE_DONE);
    }
}

static int is_not_asked(void *argument)
{
    const struct uci_policies policies = {.kernel_major = 5, .kernel_minor = 14};
    struct uci_ability ability;

    UCT_CHECK(uct_kill_on_io_uring());
    UCT_CHECK(uci_choice_find_out(&policies, &ability).error == -EOPNOTSUPP);
    UCT_CHECK(ability.error == -EOPNOTSUPP && ability.features == 0);
    return 0;
}

static void a_kernel_that_is_too_old_is_not_even_asked(void **state)
{
    assert_int_equal(uct_in_child(is_not_asked, NULL), 0);
}

static void from_5_15_to_6_0_provided_buffers_are_needed(void **state)
{
    static const uint32_t middle[][2] = {{5, 15}, {5, 19}, {6, 0}};
    const struct uci_ability without = {.features = UC_FEATURE_SUBMIT_ALL};

    for (size_t i = 0; i < sizeof(middle) / sizeof(middle[0]); i++) {
        assert_int_equal(judge(middle[i][0], middle[i][1], &able).error, 0);
        assert_int_equal(judge(middle[i][0], middle[i][1], &without).error, -EOPNOTSUPP);
        assert_int_equal(judge(middle[i][0], middle[i][1], &without).lacking,
                         UC_FEATURE_BUFFER_RING);
    }
}

static void from_6_1_on_any_features_will_do(void **state)
{
    static const uint32_t recent[][2] = {{6, 1}, {6, 18}, {7, 0}, {10, 0}};
    const struct uci_ability without = {0};

    for (size_t i = 0; i < sizeof(recent) / sizeof(recent[0]); i++)
        assert_int_equal(judge(recent[i][0], recent[i][1], &without).error, 0);
}

static void what_fails_the_probe_is_not_used_on_any_kernel(void **state)
{
    static const uint32_t kernels[][2] = {{5, 15}, {6, 1}, {6, 18}};

    for (enum uci_probe_step step = UCI_PROBE_SETUP; step <= UCI_PROBE_CANCEL; step++) {
        const struct uci_ability broken = {
            .error = -EIO, .step = step, .features = UC_FEATURE_BUFFER_RING};

        for (size_t i = 0; i < 3; i++) {
            struct uci_refusal refusal = judge(kernels[i][0], kernels[i][1], &broken);

            assert_int_equal(refusal.error, -EIO);
            assert_int_equal(refusal.step, step);
        }
    }
}

static const struct {
    struct uci_refusal refusal;
    struct uci_policies policies;
    const char *reason, *remedy;
} sentences[] = {
    {{.error = -EPERM, .step = UCI_PROBE_SETUP},
     {.sysctl_disabled = 2, .seccomp_mode = 2},
     "switched off for everyone (kernel.io_uring_disabled is 2)",
     "/etc/sysctl.d/io_uring.conf\tkernel.io_uring_disabled = 0\n"},
    {{.error = -EPERM, .step = UCI_PROBE_SETUP},
     {.sysctl_disabled = 1},
     "add the user to kernel.io_uring_group",
     "for one group\tsysctl -w kernel.io_uring_group=$(id -g)\n"},
    {{.error = -EPERM, .step = UCI_PROBE_SETUP},
     {.seccomp_mode = 2},
     "refused (EPERM) by a seccomp filter",
     "docker\tdocker run --security-opt seccomp=profile.json"},
    {{.error = -ENOSYS, .step = UCI_PROBE_SETUP},
     {.seccomp_mode = 2},
     "refused (ENOSYS) by a seccomp filter",
     "systemd\tSystemCallFilter=io_uring_setup io_uring_enter io_uring_register, beside"},
    {{.error = -EPERM, .step = UCI_PROBE_WAIT},
     {.seccomp_mode = 2},
     "waiting with a time limit fails (EPERM), and a seccomp filter is in force",
     "kubernetes\tseccompProfile:"},
    {{.error = -EACCES, .step = UCI_PROBE_SETUP},
     {0},
     "refused (EACCES) by a security module",
     "SELinux\tausearch"},
    {{.error = -ENOSYS, .step = UCI_PROBE_SETUP}, {0}, "has no io_uring (ENOSYS)", "kernel\tLinux"},
    {{.error = -ENOMEM, .step = UCI_PROBE_SETUP},
     {.memlock_bytes = 64 << 10},
     "limited to 64 KiB for all processes of this user, and the smallest ring needs",
     "systemd\tLimitMEMLOCK=8M\n"},
    {{.error = -ENOMEM, .step = UCI_PROBE_SETUP},
     {.memlock_bytes = 64 << 10, .memlock_exempt = true},
     "setting up a ring fails (ENOMEM)",
     ""},
    {{.error = -EMFILE, .step = UCI_PROBE_SETUP}, {0}, "raise RLIMIT_NOFILE", "shell\tulimit -n"},
    {{.error = -EMFILE, .step = UCI_PROBE_SOCKETS}, {0}, "raise RLIMIT_NOFILE", "shell\tulimit -n"},
    {{.error = -EOPNOTSUPP},
     {.kernel_major = 5, .kernel_minor = 10},
     "Linux 5.10 is too old for io_uring by default: 5.15 is the first",
     "kernel\tLinux 6.1 or later"},
    {{.error = -EOPNOTSUPP, .lacking = UC_FEATURE_BUFFER_RING},
     {.kernel_major = 5, .kernel_minor = 15},
     "Linux 5.15 is too old for io_uring by default: before 6.1 it has to have buffer-ring",
     "kernel\tLinux 6.1 or later"},
    {{.error = -EOPNOTSUPP, .step = UCI_PROBE_SETUP},
     {.kernel_major = 5, .kernel_minor = 4},
     "Linux 5.4 is too old for io_uring: timed waits came with 5.11",
     "kernel\tLinux 6.1 or later"},
    {{.error = -EIO, .step = UCI_PROBE_CANCEL},
     {0},
     "does not work here: cancelling a receive fails (EIO)",
     ""},
};

static void every_refusal_is_told_by_its_knob_and_what_to_change(void **state)
{
    char reason[256], remedy[768];

    for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++) {
        memset(reason, 0, sizeof(reason));
        uci_explain_refusal(&sentences[i].refusal, &sentences[i].policies, reason, sizeof(reason));
        if (!strstr(reason, sentences[i].reason))
            fail_msg("%zu: %s", i, reason);
        assert_true(strlen(reason) < sizeof(reason) - 1);
        uci_remedy_refusal(&sentences[i].refusal, &sentences[i].policies, remedy, sizeof(remedy));
        if (!strstr(remedy, sentences[i].remedy))
            fail_msg("%zu: %s", i, remedy);
        assert_true(strlen(remedy) < sizeof(remedy) - 1);
        assert_true(!remedy[0] || remedy[strlen(remedy) - 1] == '\n');
    }
}

static void missing_features_are_answered_with_the_kernel_that_has_them_all(void **state)
{
    char remedy[768];

    uci_remedy_features(UC_FEATURE_SINGLE_ISSUER | UC_FEATURE_RECV_BUNDLE | UC_FEATURE_SUBMIT_ALL,
                        remedy, sizeof(remedy));
    assert_string_equal(remedy, "kernel\tLinux 6.15 or later\n");
    uci_remedy_features(0, remedy, sizeof(remedy));
    assert_string_equal(remedy, "");
}

static void the_probe_moves_a_byte_here_and_leaves_nothing(void **state)
{
    int before = uct_count_fds();
    struct uci_ability ability;

    uci_uring_probe(&ability);
    assert_int_equal(ability.error, 0);
    assert_int_equal(ability.step, UCI_PROBE_DONE);
    assert_int_equal(uct_count_fds(), before);
}

static int is_found(int forbidden, enum uci_probe_step least, enum uci_probe_step most)
{
    int before = uct_count_fds();
    struct uci_ability ability;

    UCT_CHECK(uct_forbid(forbidden, EPERM));
    uci_uring_probe(&ability);
    UCT_CHECK(ability.error == -EPERM);
    UCT_CHECK(ability.step >= least && ability.step <= most);
    UCT_CHECK(uct_count_fds() == before);
    return 0;
}

static int setup_is_forbidden(void *argument)
{
    return is_found(SYS_io_uring_setup, UCI_PROBE_SETUP, UCI_PROBE_SETUP);
}

static int register_is_forbidden(void *argument)
{
    return is_found(SYS_io_uring_register, UCI_PROBE_ENABLE, UCI_PROBE_ENABLE);
}

static int enter_is_forbidden(void *argument)
{
    return is_found(SYS_io_uring_enter, UCI_PROBE_WAIT, UCI_PROBE_WAIT);
}

static int socketpair_is_forbidden(void *argument)
{
    return is_found(SYS_socketpair, UCI_PROBE_SOCKETS, UCI_PROBE_SOCKETS);
}

static void the_probe_finds_each_call_that_is_forbidden(void **state)
{
    assert_int_equal(uct_in_child(setup_is_forbidden, NULL), 0);
    assert_int_equal(uct_in_child(register_is_forbidden, NULL), 0);
    assert_int_equal(uct_in_child(enter_is_forbidden, NULL), 0);
    assert_int_equal(uct_in_child(socketpair_is_forbidden, NULL), 0);
}

/* A ring by the kernel's decision alone. Return: its backend, or a negative errno. */
static int auto_backend(void)
{
    struct uc_ring_info info = {.size = sizeof(info)};
    uc_ring *ring;
    int r = uc_ring_new(NULL, &ring);

    if (r < 0)
        return r;
    r = uc_ring_get_info(ring, &info);
    uc_ring_free(ring);
    return r < 0 ? r : (int)info.backend;
}

/* Only the probe makes socketpairs: where they are forbidden, a second one would fail. */
static int is_probed_once(void *argument)
{
    uci_choice_forget();
    UCT_CHECK(auto_backend() == UC_BACKEND_URING);
    UCT_CHECK(uct_forbid(SYS_socketpair, EPERM));
    UCT_CHECK(auto_backend() == UC_BACKEND_URING);
    uci_choice_forget();
    UCT_CHECK(auto_backend() == UC_BACKEND_EPOLL);
    return 0;
}

static void a_process_is_probed_once(void **state)
{
    assert_int_equal(uct_in_child(is_probed_once, NULL), 0);
}

static int finds_out_anew(void *argument)
{
    UCT_CHECK(uct_forbid(SYS_socketpair, EPERM));
    UCT_CHECK(auto_backend() == UC_BACKEND_EPOLL);
    return 0;
}

static void a_forked_child_finds_out_anew(void **state)
{
    assert_int_equal(auto_backend(), UC_BACKEND_URING);
    assert_int_equal(uct_in_child(finds_out_anew, NULL), 0);
}

static int memory_comes_back(void *argument)
{
    struct rlimit limit = {0, 8 << 20};

    UCT_CHECK(uct_become_nobody(8 << 20));
    UCT_CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    UCT_CHECK(auto_backend() == UC_BACKEND_EPOLL);
    limit.rlim_cur = 8 << 20;
    UCT_CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    UCT_CHECK(auto_backend() == UC_BACKEND_URING);
    return 0;
}

static void want_of_memory_is_not_remembered(void **state)
{
    if (!uct_can_limit_rings())
        skip();
    assert_int_equal(uct_in_child(memory_comes_back, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kernel_before_5_15_is_too_old_whatever_it_can),
        cmocka_unit_test(a_kernel_that_is_too_old_is_not_even_asked),
        cmocka_unit_test(from_5_15_to_6_0_provided_buffers_are_needed),
        cmocka_unit_test(from_6_1_on_any_features_will_do),
        cmocka_unit_test(what_fails_the_probe_is_not_used_on_any_kernel),
        cmocka_unit_test(every_refusal_is_told_by_its_knob_and_what_to_change),
        cmocka_unit_test(missing_features_are_answered_with_the_kernel_that_has_them_all),
        cmocka_unit_test(the_probe_moves_a_byte_here_and_leaves_nothing),
        cmocka_unit_test(the_probe_finds_each_call_that_is_forbidden),
        cmocka_unit_test(a_process_is_probed_once),
        cmocka_unit_test(a_forked_child_finds_out_anew),
        cmocka_unit_test(want_of_memory_is_not_remembered),
    };

    unsetenv("UC_BACKEND");
    unsetenv("UC_DISABLE");
    return UCT_RUN_ON_URING("choice", tests);
}
