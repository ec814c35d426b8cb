/* Which backend a ring gets: the option, the environment, the kernel, in this order. What changes
 * the environment or sets up a filter runs in a child that ends with it. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static const struct uct_options uring_options = {.ring.backend = UC_BACKEND_URING};
static const struct uct_options epoll_options = {.ring.backend = UC_BACKEND_EPOLL};

/* Make a ring and free it. Return: its backend, or a negative errno. */
static int made(struct uc_ring_options options, struct uc_ring_info *info)
{
    struct uc_ring_info unused;
    uc_ring *ring;
    int r;

    if (!info)
        info = &unused;
    *info = (struct uc_ring_info){.size = sizeof(*info)};
    options.size = sizeof(options);
    r = uc_ring_new(&options, &ring);
    if (r < 0)
        return r;
    r = uc_ring_get_info(ring, info);
    uc_ring_free(ring);
    return r < 0 ? r : (int)info->backend;
}

#define MADE(info, ...) made((struct uc_ring_options){.size = 0, ##__VA_ARGS__}, info)

/* Bytes go through a ring made with these options, and it is of this backend. */
static int serves(const struct uct_options *options, uint32_t backend)
{
    struct uct *t = uct_open(options);
    struct uct_link link = uct_link(t, NULL, 0);
    struct uc_ring_info info = {.size = sizeof(info)};
    uint64_t sent = 0;

    UCT_CHECK(uc_ring_get_info(t->ring, &info) == 0);
    UCT_CHECK(info.backend == backend);
    UCT_CHECK(uc_fd_recv_start(link.sink->fd) == 0);
    uct_write_all(link.peer, 0, &sent, 10000);
    UCT_UNTIL(t, link.sink->received == sent);
    UCT_CHECK(uct_close(t));
    return 0;
}

static int the_option_wins(void *argument)
{
    UCT_CHECK(setenv("UC_BACKEND", "epoll", 1) == 0);
    UCT_CHECK(MADE(NULL) == UC_BACKEND_EPOLL);
    UCT_CHECK(MADE(NULL, .backend = UC_BACKEND_URING) == UC_BACKEND_URING);
    UCT_CHECK(setenv("UC_BACKEND", "uring", 1) == 0);
    UCT_CHECK(MADE(NULL) == UC_BACKEND_URING);
    UCT_CHECK(MADE(NULL, .backend = UC_BACKEND_EPOLL) == UC_BACKEND_EPOLL);
    UCT_CHECK(setenv("UC_BACKEND", "auto", 1) == 0);
    UCT_CHECK(MADE(NULL) == UC_BACKEND_URING);
    UCT_CHECK(unsetenv("UC_BACKEND") == 0);
    UCT_CHECK(MADE(NULL) == UC_BACKEND_URING);
    return 0;
}

static void the_option_goes_before_the_environment_before_the_kernel(void **state)
{
    assert_int_equal(uct_in_child(the_option_wins, NULL), 0);
}

/* Everything a program does, probing too, under a filter that kills at io_uring's calls. */
static int epoll_by_environment(void *argument)
{
    struct uc_probe probe = {.size = sizeof(probe)};

    UCT_CHECK(setenv("UC_BACKEND", "epoll", 1) == 0);
    UCT_CHECK(uct_kill_on_io_uring());
    UCT_CHECK(uc_probe(&probe) == 0);
    UCT_CHECK(probe.error == -ECANCELED);
    UCT_CHECK(probe.backend == UC_BACKEND_EPOLL);
    return serves(NULL, UC_BACKEND_EPOLL);
}

static int epoll_by_option(void *argument)
{
    UCT_CHECK(uct_kill_on_io_uring());
    return serves(&epoll_options, UC_BACKEND_EPOLL);
}

static void epoll_that_is_asked_for_makes_no_call_of_io_uring(void **state)
{
    assert_int_equal(uct_in_child(epoll_by_environment, NULL), 0);
    assert_int_equal(uct_in_child(epoll_by_option, NULL), 0);
}

/* The filter of the test above is one that kills. */
static void io_uring_under_a_filter_that_kills_ends_the_process(void **state)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        if (uct_kill_on_io_uring())
            MADE(NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

struct forbidden {
    int number, error;
};

static int falls_back(void *argument)
{
    const struct forbidden *forbidden = argument;
    struct uc_ring_info info;
    int before = uct_count_fds();

    UCT_CHECK(uct_forbid(forbidden->number, forbidden->error));
    UCT_CHECK(MADE(&info) == UC_BACKEND_EPOLL);
    UCT_CHECK(strstr(info.reason, "seccomp") != NULL);
    UCT_CHECK(strstr(info.reason, uc_error_name(forbidden->error)) != NULL);
    UCT_CHECK(uct_count_fds() == before);
    return serves(NULL, UC_BACKEND_EPOLL);
}

static void where_a_filter_refuses_a_call_epoll_is_used_and_says_why(void **state)
{
    static const struct forbidden all[] = {
        {SYS_io_uring_setup, EPERM}, {SYS_io_uring_setup, ENOSYS},   {SYS_io_uring_setup, EACCES},
        {SYS_io_uring_enter, EPERM}, {SYS_io_uring_register, EPERM},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        assert_int_equal(uct_in_child(falls_back, (void *)&all[i]), 0);
}

static int is_refused(void *argument)
{
    UCT_CHECK(uct_forbid(SYS_io_uring_setup, EPERM));
    UCT_CHECK(MADE(NULL, .backend = UC_BACKEND_URING) == -EPERM);
    UCT_CHECK(setenv("UC_BACKEND", "uring", 1) == 0);
    UCT_CHECK(MADE(NULL) == -EPERM);
    return 0;
}

static void io_uring_that_is_asked_for_is_had_or_refused(void **state)
{
    assert_int_equal(uct_in_child(is_refused, NULL), 0);
}

static int waits_undisturbed(void *argument)
{
    UCT_CHECK(MADE(NULL) == UC_BACKEND_EPOLL);
    UCT_CHECK(poll(NULL, 0, 100) == 0);
    return 0;
}

static int serves_undisturbed(void *argument)
{
    uc_ring *ring;

    UCT_CHECK(uc_ring_new(NULL, &ring) == 0);
    UCT_CHECK(poll(NULL, 0, 100) == 0);
    uc_ring_free(ring);
    UCT_CHECK(uct_forbid(SYS_io_uring_register, EPERM));
    return uct_in_child(waits_undisturbed, NULL);
}

static void finding_out_interrupts_nobodys_wait(void **state)
{
    assert_int_equal(uct_in_child(serves_undisturbed, NULL), 0);
}

/* Found out before the filter came: the ring itself is what is refused. */
static int falls_back_later(void *argument)
{
    struct uc_ring_info info;

    UCT_CHECK(MADE(NULL) == UC_BACKEND_URING);
    UCT_CHECK(uct_forbid(SYS_io_uring_setup, EPERM));
    UCT_CHECK(MADE(&info) == UC_BACKEND_EPOLL);
    UCT_CHECK(strstr(info.reason, "seccomp") != NULL);
    return serves(NULL, UC_BACKEND_EPOLL);
}

static void a_filter_that_comes_later_leads_to_epoll_too(void **state)
{
    assert_int_equal(uct_in_child(falls_back_later, NULL), 0);
}

static int wants_descriptors(void *argument)
{
    struct rlimit none = {3, 3};

    UCT_CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    UCT_CHECK(MADE(NULL) == -EMFILE);
    return 0;
}

static void want_of_descriptors_is_an_error_not_a_reason_for_epoll(void **state)
{
    assert_int_equal(uct_in_child(wants_descriptors, NULL), 0);
}

static int wants_memory(void *argument)
{
    struct uc_ring_info info;

    UCT_CHECK(uct_become_nobody(0));
    UCT_CHECK(MADE(&info) == UC_BACKEND_EPOLL);
    UCT_CHECK(strstr(info.reason, "RLIMIT_MEMLOCK") != NULL);
    UCT_CHECK(strstr(info.reason, "0 KiB") != NULL);
    UCT_CHECK(info.halvings == 0);
    UCT_CHECK(MADE(NULL, .backend = UC_BACKEND_URING) == -ENOMEM);
    return serves(NULL, UC_BACKEND_EPOLL);
}

static void without_locked_memory_epoll_is_used_and_says_how_much_is_needed(void **state)
{
    if (!uct_can_limit_rings())
        skip();
    assert_int_equal(uct_in_child(wants_memory, NULL), 0);
}

static int only_uring_can(void *argument)
{
    struct uc_pool_options registered = {
        .size = sizeof(registered),
        .flags = UC_POOL_REGISTER_REQUIRED,
        .buffer_bytes = 4096,
        .buffer_count = 1,
        .buffer_max = 1,
    };
    struct uc_ring_info info;
    uc_pool *pool;

    UCT_CHECK(uc_pool_new(&registered, &pool) == 0);
    UCT_CHECK(uct_forbid(SYS_io_uring_setup, EPERM));
    UCT_CHECK(MADE(NULL, .sqpoll = UC_SQPOLL_REQUIRE) == -EPERM);
    UCT_CHECK(MADE(NULL, .pool = pool) == -EPERM);
    UCT_CHECK(MADE(&info, .sqpoll = UC_SQPOLL_TRY) == UC_BACKEND_EPOLL);
    UCT_CHECK(info.reason[0]);
    uc_pool_free(pool);
    return 0;
}

static void what_only_io_uring_can_do_is_not_given_up_silently(void **state)
{
    assert_int_equal(uct_in_child(only_uring_can, NULL), 0);
}

static int unknown_words(void *argument)
{
    static const char *const variables[][2] = {
        {"UC_BACKEND", "EPOLL"},
        {"UC_BACKEND", "io_uring"},
        {"UC_DISABLE", "multishot,everything"},
    };
    struct uc_probe probe = {.size = sizeof(probe)};

    for (int i = 0; i < 3; i++) {
        const char *wrong = variables[i][1];

        UCT_CHECK(setenv(variables[i][0], wrong, 1) == 0);
        UCT_CHECK(MADE(NULL) == -EINVAL);
        UCT_CHECK(MADE(NULL, .backend = UC_BACKEND_EPOLL) == -EINVAL);
        UCT_CHECK(uc_probe(&probe) == 0);
        UCT_CHECK(probe.error == -EINVAL && probe.verdict == UC_VERDICT_NONE);
        UCT_CHECK(strstr(probe.reason, variables[i][0]) != NULL);
        UCT_CHECK(strstr(probe.reason, strchr(wrong, ',') ? "everything" : wrong) != NULL);
        UCT_CHECK(strstr(probe.reason, i < 2 ? "auto, uring and epoll" : "bufring") != NULL);
        UCT_CHECK(unsetenv(variables[i][0]) == 0);
    }
    UCT_CHECK(MADE(NULL) == UC_BACKEND_URING);
    return 0;
}

static void an_unknown_word_in_the_environment_is_refused_and_named(void **state)
{
    assert_int_equal(uct_in_child(unknown_words, NULL), 0);
}

static int switched_off(void *argument)
{
    struct uc_ring_info whole, info;
    const char *name;

    UCT_CHECK(MADE(&whole) == UC_BACKEND_URING);
    for (uint64_t bit = 1; (name = uc_feature_name(bit)); bit *= 2) {
        UCT_CHECK(setenv("UC_DISABLE", name, 1) == 0);
        UCT_CHECK(MADE(&info) == UC_BACKEND_URING);
        UCT_CHECK(!(info.features & bit) && !(info.features_stripped & bit));
        if (whole.features & bit)
            UCT_CHECK(strstr(info.reason, name) != NULL);
    }
    UCT_CHECK(setenv("UC_DISABLE", "all", 1) == 0);
    UCT_CHECK(MADE(&info) == UC_BACKEND_URING);
    UCT_CHECK(info.features == 0 && info.features_stripped == 0);
    UCT_CHECK(setenv("UC_DISABLE", "bundle", 1) == 0);
    UCT_CHECK(MADE(&info, .features_off = UC_FEATURE_NO_IOWAIT) == UC_BACKEND_URING);
    UCT_CHECK(!(info.features & (UC_FEATURE_RECV_BUNDLE | UC_FEATURE_NO_IOWAIT)));
    return 0;
}

static void uc_disable_switches_features_off_beside_the_option(void **state)
{
    assert_int_equal(uct_in_child(switched_off, NULL), 0);
}

static int serves_without(void *argument)
{
    UCT_CHECK(setenv("UC_DISABLE", argument, 1) == 0);
    return serves(NULL, UC_BACKEND_URING);
}

static void with_anything_switched_off_io_uring_serves_all_the_same(void **state)
{
    static const char *const lists[] = {
        "all", "multishot", "bufring", "bundle", "taskrun", "own-memory", "single-issuer,no-iowait",
    };

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        assert_int_equal(uct_in_child(serves_without, (void *)lists[i]), 0);
}

static int chooses_anew(void *argument)
{
    struct uct *t = argument;
    struct uc_ring_info info = {.size = sizeof(info)};

    UCT_CHECK(uct_forbid(SYS_io_uring_setup, EPERM));
    UCT_CHECK(uc_ring_reinit(t->ring) == 0);
    UCT_CHECK(uc_ring_get_info(t->ring, &info) == 0);
    UCT_CHECK(info.backend == UC_BACKEND_EPOLL);
    UCT_CHECK(uc_op_nop(t->ring, 5, NULL) == 0);
    UCT_CHECK(uct_outcome(t, 5) == 0);
    return 0;
}

static void a_ring_that_is_made_again_in_a_child_chooses_again(void **state)
{
    assert_int_equal(uct_in_child(chooses_anew, *state), 0);
}

static void *enable(void *argument)
{
    return (void *)(intptr_t)uc_ring_enable(argument);
}

static int stays(void *argument)
{
    const struct uct_options *options = argument;
    struct uct *t = uct_open(options);
    struct uc_ring_info info = {.size = sizeof(info)};
    pthread_t thread;
    void *r;

    UCT_CHECK(uc_ring_enable(t->ring) == 0);
    UCT_CHECK(setenv("UC_BACKEND", "epoll", 1) == 0);
    UCT_CHECK(pthread_create(&thread, NULL, enable, t->ring) == 0);
    UCT_CHECK(pthread_join(thread, &r) == 0 && !r);
    UCT_CHECK(uc_ring_enable(t->ring) == 0);
    UCT_CHECK(uc_ring_get_info(t->ring, &info) == 0);
    UCT_CHECK(info.backend == (options ? options->ring.backend : UC_BACKEND_URING));
    UCT_CHECK(uct_close(t));
    return 0;
}

/* Chosen for what the environment said then, and not asked again. */
static int keeps_its_reason(void *argument)
{
    struct uc_ring_info before = {.size = sizeof(before)}, after = before;
    pthread_t thread;
    uc_ring *ring;
    void *r;

    UCT_CHECK(setenv(argument, strcmp(argument, "UC_BACKEND") ? "no-iowait" : "epoll", 1) == 0);
    UCT_CHECK(uc_ring_new(NULL, &ring) == 0);
    UCT_CHECK(unsetenv(argument) == 0);
    UCT_CHECK(uc_ring_enable(ring) == 0);
    UCT_CHECK(uc_ring_get_info(ring, &before) == 0);
    UCT_CHECK(strstr(before.reason, argument));
    UCT_CHECK(pthread_create(&thread, NULL, enable, ring) == 0);
    UCT_CHECK(pthread_join(thread, &r) == 0 && !r);
    UCT_CHECK(uc_ring_get_info(ring, &after) == 0);
    UCT_CHECK(strcmp(before.reason, after.reason) == 0);
    UCT_CHECK(before.features == after.features && before.backend == after.backend);
    uc_ring_free(ring);
    return 0;
}

static void a_ring_that_moves_keeps_the_reason_it_was_chosen_for(void **state)
{
    assert_int_equal(uct_in_child(keeps_its_reason, "UC_BACKEND"), 0);
    assert_int_equal(uct_in_child(keeps_its_reason, "UC_DISABLE"), 0);
}

static void a_ring_that_moves_to_another_thread_stays_with_its_backend(void **state)
{
    assert_int_equal(uct_in_child(stays, NULL), 0);
    assert_int_equal(uct_in_child(stays, (void *)&uring_options), 0);
    assert_int_equal(uct_in_child(stays, (void *)&epoll_options), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_option_goes_before_the_environment_before_the_kernel),
        cmocka_unit_test(epoll_that_is_asked_for_makes_no_call_of_io_uring),
        cmocka_unit_test(io_uring_under_a_filter_that_kills_ends_the_process),
        cmocka_unit_test(where_a_filter_refuses_a_call_epoll_is_used_and_says_why),
        cmocka_unit_test(io_uring_that_is_asked_for_is_had_or_refused),
        cmocka_unit_test(finding_out_interrupts_nobodys_wait),
        cmocka_unit_test(a_filter_that_comes_later_leads_to_epoll_too),
        cmocka_unit_test(want_of_descriptors_is_an_error_not_a_reason_for_epoll),
        cmocka_unit_test(without_locked_memory_epoll_is_used_and_says_how_much_is_needed),
        cmocka_unit_test(what_only_io_uring_can_do_is_not_given_up_silently),
        cmocka_unit_test(an_unknown_word_in_the_environment_is_refused_and_named),
        cmocka_unit_test(uc_disable_switches_features_off_beside_the_option),
        cmocka_unit_test(with_anything_switched_off_io_uring_serves_all_the_same),
        UCT(a_ring_that_is_made_again_in_a_child_chooses_again),
        cmocka_unit_test(a_ring_that_moves_to_another_thread_stays_with_its_backend),
        cmocka_unit_test(a_ring_that_moves_keeps_the_reason_it_was_chosen_for),
    };

    unsetenv("UC_BACKEND");
    unsetenv("UC_DISABLE");
    return UCT_RUN_ON_URING("choice", tests);
}
