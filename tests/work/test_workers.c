/* Threads for what cannot be asked for without waiting. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/list.h"
#include "support.h"
#include "work/workers.h"

#define SECOND_NS INT64_C(1000000000)

/* Doors that a piece of work waits at, and what became of it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool open_door;
static int running, most_running, abandoned;
static pid_t last_thread;
static sigset_t last_mask;

struct job {
    struct uci_work work;
    bool waits; /* at the door */
    int runs;
};

struct company {
    struct uci_workers *workers;
    int bell;
};

static void run(struct uci_work *work)
{
    struct job *job = UCI_CONTAINER(work, struct job, work);

    pthread_mutex_lock(&lock);
    last_thread = gettid();
    pthread_sigmask(SIG_SETMASK, NULL, &last_mask);
    if (++running > most_running)
        most_running = running;
    pthread_cond_broadcast(&changed);
    while (job->waits && !open_door)
        pthread_cond_wait(&changed, &lock);
    running--;
    job->runs++;
    pthread_mutex_unlock(&lock);
}

static void abandon(struct uci_work *work)
{
    pthread_mutex_lock(&lock);
    abandoned++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    free(UCI_CONTAINER(work, struct job, work));
}

static void set_door(bool is_open)
{
    pthread_mutex_lock(&lock);
    open_door = is_open;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void wait_until(const int *number, int value)
{
    pthread_mutex_lock(&lock);
    while (*number != value)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static struct job *add(struct company *c, bool waits)
{
    struct job *job = calloc(1, sizeof(*job));

    assert_non_null(job);
    job->work = (struct uci_work){.run = run, .abandon = abandon};
    job->waits = waits;
    uci_workers_add(c->workers, &job->work);
    return job;
}

static struct company hire(void)
{
    struct company c = {.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};

    assert_true(c.bell >= 0);
    assert_int_equal(uci_workers_new(c.bell, &c.workers), 0);
    running = most_running = abandoned = 0;
    open_door = false;
    return c;
}

/* A thread that was joined may still be seen on its last lines. */
static void wait_until_alone(void)
{
    uint64_t until = uct_now_ms() + uct_deadline_ms();

    while (uct_count_threads() > 1)
        assert_true(uct_now_ms() < until);
}

static void dismiss(struct company *c)
{
    uci_workers_free(c->workers, false);
    close(c->bell);
}

/* Wait for the bell and take what has finished. Return: how many pieces; they are freed. */
static int take(struct company *c)
{
    struct pollfd bell = {.fd = c->bell, .events = POLLIN};
    struct uci_work *work, *next;
    uint64_t value;
    int count = 0;

    assert_int_equal(poll(&bell, 1, (int)uct_deadline_ms()), 1);
    assert_int_equal(read(c->bell, &value, sizeof(value)), sizeof(value));
    for (work = uci_workers_take_finished(c->workers); work; work = next) {
        struct job *job = UCI_CONTAINER(work, struct job, work);

        next = work->next;
        assert_int_equal(job->runs, 1);
        free(job);
        count++;
    }
    return count;
}

static void take_all(struct company *c, int count)
{
    while (count > 0)
        count -= take(c);
    assert_int_equal(count, 0);
    assert_null(uci_workers_take_finished(c->workers));
}

static void every_piece_of_work_runs_once_and_rings_the_bell(void **state)
{
    struct company c = hire();

    (void)state;
    for (int i = 0; i < 1000; i++)
        add(&c, false);
    take_all(&c, 1000);
    assert_true(uci_workers_are_idle(c.workers, 0));
    dismiss(&c);
}

static void work_runs_beside_work_that_waits(void **state)
{
    struct company c = hire();

    (void)state;
    for (int i = 1; i < UCI_WORKERS_MAX; i++)
        add(&c, true);
    for (int i = 0; i < 100; i++) {
        add(&c, false);
        take_all(&c, 1);
    }
    assert_false(uci_workers_are_idle(c.workers, 0));
    set_door(true);
    take_all(&c, UCI_WORKERS_MAX - 1);
    dismiss(&c);
}

static void there_are_no_more_threads_than_that(void **state)
{
    struct company c = hire();

    (void)state;
    for (int i = 0; i < 3 * UCI_WORKERS_MAX; i++)
        add(&c, true);
    wait_until(&running, UCI_WORKERS_MAX);
    assert_int_equal(uct_count_threads(), 1 + UCI_WORKERS_MAX);
    set_door(true);
    take_all(&c, 3 * UCI_WORKERS_MAX);
    assert_int_equal(most_running, UCI_WORKERS_MAX);
    assert_int_equal(uct_count_threads(), 1 + UCI_WORKERS_MAX);
    dismiss(&c);
}

static void a_thread_is_started_only_if_none_is_free(void **state)
{
    struct company c = hire();

    (void)state;
    wait_until_alone();
    for (int i = 0; i < 100; i++) {
        add(&c, false);
        assert_int_equal(take(&c), 1);
        /* It rings before it is free again. */
        assert_in_range(uct_count_threads(), 2, 1 + UCI_WORKERS_MAX);
    }
    dismiss(&c);
}

static void work_that_waits_can_be_called_off_wherever_it_stands(void **state)
{
    struct company c = hire();
    struct job *waiting[6], *busy[UCI_WORKERS_MAX];

    (void)state;
    for (int i = 0; i < UCI_WORKERS_MAX; i++)
        busy[i] = add(&c, true);
    wait_until(&running, UCI_WORKERS_MAX);
    for (int i = 0; i < 6; i++)
        waiting[i] = add(&c, false);
    for (int i = 0; i < 6; i += i == 0 ? 2 : 3) { /* the first, one in the middle, the last */
        assert_true(uci_workers_call_off(c.workers, &waiting[i]->work));
        assert_false(uci_workers_call_off(c.workers, &waiting[i]->work));
        assert_int_equal(waiting[i]->runs, 0);
        free(waiting[i]);
    }
    add(&c, false);
    assert_false(uci_workers_call_off(c.workers, &busy[0]->work));
    set_door(true);
    take_all(&c, UCI_WORKERS_MAX + 4);
    dismiss(&c);
}

static void idle_is_who_has_nothing_running_and_nothing_waiting(void **state)
{
    struct company c = hire();

    (void)state;
    assert_true(uci_workers_are_idle(c.workers, SECOND_NS));
    add(&c, true);
    assert_false(uci_workers_are_idle(c.workers, 1000000));
    set_door(true);
    assert_true(uci_workers_are_idle(c.workers, (int64_t)uct_deadline_ms() * 1000000));
    take_all(&c, 1);
    dismiss(&c);
}

static void signals_are_not_for_the_threads(void **state)
{
    struct company c = hire();

    (void)state;
    add(&c, false);
    take_all(&c, 1);
    assert_int_not_equal(last_thread, gettid());
    assert_int_equal(sigismember(&last_mask, SIGTERM), 1);
    assert_int_equal(sigismember(&last_mask, SIGPIPE), 1);
    sigemptyset(&last_mask);
    pthread_sigmask(SIG_SETMASK, NULL, &last_mask);
    assert_int_equal(sigismember(&last_mask, SIGTERM), 0);
    dismiss(&c);
}

static void giving_up_does_not_wait_for_what_hangs(void **state)
{
    struct company c = hire();

    (void)state;
    for (int i = 0; i < UCI_WORKERS_MAX; i++)
        add(&c, true);
    wait_until(&running, UCI_WORKERS_MAX);
    dismiss(&c);
    assert_int_equal(abandoned, 0);
    set_door(true);
    wait_until(&abandoned, UCI_WORKERS_MAX);
    wait_until_alone();
}

static void what_has_finished_and_is_not_taken_is_abandoned_too(void **state)
{
    struct company c = hire();

    (void)state;
    for (int i = 0; i < 10; i++)
        add(&c, false);
    assert_true(uci_workers_are_idle(c.workers, (int64_t)uct_deadline_ms() * 1000000));
    dismiss(&c);
    assert_int_equal(abandoned, 10);
}

/* Each process may have so many; root may have any number. */
static int work_without_threads(void *argument)
{
    const struct rlimit none = {0, 0};
    struct company c = hire();

    (void)argument;
    UCT_CHECK(uct_become_nobody(0) && setrlimit(RLIMIT_NPROC, &none) == 0);
    for (int i = 0; i < 10; i++) {
        struct job *job = add(&c, false);

        UCT_CHECK(job->runs == 1 && last_thread == gettid());
    }
    UCT_CHECK(uct_count_threads() == 1);
    take_all(&c, 10);
    dismiss(&c);
    return 0;
}

static void without_threads_work_runs_where_it_is_added(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("only root can become somebody without threads for certain\n");
        skip();
    }
    assert_int_equal(uct_in_child(work_without_threads, NULL), 0);
}

static int free_them(void *argument)
{
    uci_workers_free(argument, true);
    return 0;
}

/* Also while a thread of the parent holds the lock, or would be waited for. */
static void a_forked_child_frees_them_whatever_they_are_at(void **state)
{
    struct company c = hire();

    (void)state;
    add(&c, true);
    wait_until(&running, 1);
    for (int i = 0; i < 20; i++) {
        add(&c, false);
        assert_int_equal(uct_in_child(free_them, c.workers), 0);
    }
    set_door(true);
    take_all(&c, 21);
    dismiss(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_piece_of_work_runs_once_and_rings_the_bell),
        cmocka_unit_test(work_runs_beside_work_that_waits),
        cmocka_unit_test(there_are_no_more_threads_than_that),
        cmocka_unit_test(a_thread_is_started_only_if_none_is_free),
        cmocka_unit_test(work_that_waits_can_be_called_off_wherever_it_stands),
        cmocka_unit_test(idle_is_who_has_nothing_running_and_nothing_waiting),
        cmocka_unit_test(signals_are_not_for_the_threads),
        cmocka_unit_test(giving_up_does_not_wait_for_what_hangs),
        cmocka_unit_test(what_has_finished_and_is_not_taken_is_abandoned_too),
        cmocka_unit_test(without_threads_work_runs_where_it_is_added),
        cmocka_unit_test(a_forked_child_frees_them_whatever_they_are_at),
    };

    return cmocka_run_group_tests_name("work", tests, NULL, NULL);
}
