#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fork/fork.h"

#define THREADS 8

/* In children: cmocka's asserts would go on with the parent's tests. A body returns 0 or a line. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return __LINE__;                                                                       \
    } while (0)

typedef int body_fn(uint64_t inherited);

static int wait_for(pid_t child)
{
    int status = -1;

    if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

static void run_and_exit(body_fn *body, uint64_t inherited)
{
    int line = body(inherited);

    if (line)
        fprintf(stderr, "child: line %d\n", line);
    _exit(line != 0);
}

static int in_child(body_fn *body, uint64_t inherited)
{
    pid_t child = fork();

    if (child == 0)
        run_and_exit(body, inherited);
    return wait_for(child);
}

static void an_origin_is_not_zero_and_stays(void **state)
{
    uint64_t origin = uci_origin();

    assert_true(origin != 0);
    assert_true(uci_origin() == origin);
    assert_true(uci_origin_is_mine(origin));
}

static void zero_and_strangers_are_nobodys(void **state)
{
    uint64_t origin = uci_origin();

    assert_false(uci_origin_is_mine(0));
    assert_false(uci_origin_is_mine(origin + 1));
    assert_false(uci_origin_is_mine(UINT64_MAX));
}

static int refuse_inherited(uint64_t inherited)
{
    uint64_t own;

    CHECK(!uci_origin_is_mine(inherited));
    CHECK(!uci_origin_is_mine(0));
    own = uci_origin();
    CHECK(own != 0 && own != inherited);
    CHECK(uci_origin() == own);
    CHECK(uci_origin_is_mine(own));
    CHECK(!uci_origin_is_mine(inherited));
    return 0;
}

static void a_child_is_another_before_and_after_it_has_an_origin(void **state)
{
    uint64_t origin = uci_origin();

    assert_int_equal(in_child(refuse_inherited, origin), 0);
    assert_true(uci_origin() == origin);
    assert_true(uci_origin_is_mine(origin));
}

static int have_children(uint64_t inherited)
{
    CHECK(in_child(refuse_inherited, inherited) == 0);
    CHECK(refuse_inherited(inherited) == 0);
    CHECK(in_child(refuse_inherited, inherited) == 0);
    CHECK(in_child(refuse_inherited, uci_origin()) == 0);
    return 0;
}

static void a_grandchild_is_another_too(void **state)
{
    assert_int_equal(in_child(have_children, uci_origin()), 0);
}

static void a_child_made_without_libc_is_another(void **state)
{
    uint64_t origin = uci_origin();
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

    if (child == 0)
        run_and_exit(refuse_inherited, origin);
    assert_int_equal(wait_for(child), 0);
}

/* A process number may come back; what tells a process from its ancestors is not the number. */
static int differ_without_the_number(uint64_t inherited)
{
    CHECK(uci_origin() >> 32 != inherited >> 32);
    return 0;
}

static void origins_differ_even_if_a_process_number_comes_back(void **state)
{
    assert_int_equal(in_child(differ_without_the_number, uci_origin()), 0);
}

struct race {
    pthread_barrier_t barrier;
    uint64_t origins[THREADS];
};

struct racer {
    struct race *race;
    int number;
};

static void *ask_for_origin(void *argument)
{
    struct racer *racer = argument;

    pthread_barrier_wait(&racer->race->barrier);
    racer->race->origins[racer->number] = uci_origin();
    return NULL;
}

/* A child has no origin at first, so that each round is a first use. */
static int race_for_the_origin(uint64_t inherited)
{
    struct race race;
    struct racer racers[THREADS];
    pthread_t threads[THREADS];

    pthread_barrier_init(&race.barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        racers[i] = (struct racer){&race, i};
        CHECK(pthread_create(&threads[i], NULL, ask_for_origin, &racers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        CHECK(race.origins[i] == uci_origin() && race.origins[i] != 0);
    pthread_barrier_destroy(&race.barrier);
    return 0;
}

static void threads_that_come_first_together_agree(void **state)
{
    for (int round = 0; round < 50; round++)
        assert_int_equal(in_child(race_for_the_origin, 0), 0);
}

/* From here on the process has no marked page. */
static int live_without_mark(uint64_t inherited)
{
    uint64_t own = uci_origin();

    uci_origin_without_mark();
    CHECK(uci_origin() == own);
    CHECK(uci_origin_is_mine(own));
    CHECK(!uci_origin_is_mine(0));
    CHECK(!uci_origin_is_mine(own + 1));
    CHECK(!uci_origin_is_mine(inherited));
    CHECK(in_child(refuse_inherited, own) == 0);
    CHECK(in_child(have_children, own) == 0);
    CHECK(in_child(race_for_the_origin, 0) == 0);
    CHECK(uci_origin() == own && uci_origin_is_mine(own));
    return 0;
}

static void without_the_mark_all_of_it_holds_by_process_number(void **state)
{
    assert_int_equal(in_child(live_without_mark, uci_origin()), 0);
}

static int begin_without_mark(uint64_t inherited)
{
    uci_origin_without_mark();
    CHECK(!uci_origin_is_mine(0));
    return refuse_inherited(inherited);
}

static void without_the_mark_a_first_use_makes_an_origin(void **state)
{
    assert_int_equal(in_child(begin_without_mark, uci_origin()), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_origin_is_not_zero_and_stays),
        cmocka_unit_test(zero_and_strangers_are_nobodys),
        cmocka_unit_test(a_child_is_another_before_and_after_it_has_an_origin),
        cmocka_unit_test(a_grandchild_is_another_too),
        cmocka_unit_test(a_child_made_without_libc_is_another),
        cmocka_unit_test(origins_differ_even_if_a_process_number_comes_back),
        cmocka_unit_test(threads_that_come_first_together_agree),
        cmocka_unit_test(without_the_mark_all_of_it_holds_by_process_number),
        cmocka_unit_test(without_the_mark_a_first_use_makes_an_origin),
    };

    return cmocka_run_group_tests_name("fork: origin", tests, NULL, NULL);
}
