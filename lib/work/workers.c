#include "work/workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES (256 * 1024)

struct queue {
    struct uci_work *first, **last;
    uint32_t count;
};

struct uci_workers {
    pthread_mutex_t lock;
    pthread_cond_t work_waits, work_ended;
    struct queue waiting, finished;
    pthread_t threads[UCI_WORKERS_MAX];
    uint32_t thread_count, free_count, running;
    int bell_fd;
    bool ending;
    bool abandoned; /* given up with work running: the last thread frees everything */
};

static void queue_init(struct queue *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
    queue->count = 0;
}

static void queue_append(struct queue *queue, struct uci_work *work)
{
    work->next = NULL;
    *queue->last = work;
    queue->last = &work->next;
    queue->count++;
}

static struct uci_work *queue_take_first(struct queue *queue)
{
    struct uci_work *work = queue->first;

    queue->first = work->next;
    if (!queue->first)
        queue->last = &queue->first;
    queue->count--;
    return work;
}

static void delete (struct uci_workers *workers)
{
    pthread_cond_destroy(&workers->work_waits);
    pthread_cond_destroy(&workers->work_ended);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
}

int uci_workers_new(int bell_fd, struct uci_workers **ret_workers)
{
    struct uci_workers *workers = calloc(1, sizeof(*workers));
    pthread_condattr_t attributes;

    if (!workers)
        return -ENOMEM;
    workers->bell_fd = bell_fd;
    queue_init(&workers->waiting);
    queue_init(&workers->finished);
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->work_waits, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&workers->work_ended, &attributes);
    pthread_condattr_destroy(&attributes);
    *ret_workers = workers;
    return 0;
}

/* With the lock held. What has finished and is not taken yet has rung. */
static void finish(struct uci_workers *workers, struct uci_work *work)
{
    const uint64_t one = 1;
    bool is_first = !workers->finished.first;

    queue_append(&workers->finished, work);
    while (is_first && write(workers->bell_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

/* Run one piece of work, without the lock meanwhile. Return: false if nobody waits for it. */
static bool run_one(struct uci_workers *workers)
{
    struct uci_work *work = queue_take_first(&workers->waiting);

    workers->running++;
    pthread_mutex_unlock(&workers->lock);
    work->run(work);
    pthread_mutex_lock(&workers->lock);
    workers->running--;
    if (workers->abandoned) {
        work->abandon(work);
        return false;
    }
    finish(workers, work);
    pthread_cond_broadcast(&workers->work_ended);
    return true;
}

static void *worker(void *argument)
{
    struct uci_workers *workers = argument;
    bool wanted = true, last;

    pthread_mutex_lock(&workers->lock);
    while (wanted) {
        while (!workers->waiting.first && !workers->ending) {
            workers->free_count++;
            pthread_cond_wait(&workers->work_waits, &workers->lock);
            workers->free_count--;
        }
        if (!workers->waiting.first)
            break;
        wanted = run_one(workers);
    }
    last = workers->abandoned && --workers->thread_count == 0;
    pthread_mutex_unlock(&workers->lock);
    if (last)
        delete (workers);
    return NULL;
}

/* With the lock held. Signals are for the program's own threads. */
static void start_thread(struct uci_workers *workers)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int r;

    pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&workers->threads[workers->thread_count], &attributes, worker, workers);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (r == 0) {
        (void)pthread_setname_np(workers->threads[workers->thread_count], "uc-worker");
        workers->thread_count++;
    }
}

void uci_workers_add(struct uci_workers *workers, struct uci_work *work)
{
    pthread_mutex_lock(&workers->lock);
    queue_append(&workers->waiting, work);
    if (workers->waiting.count > workers->free_count && workers->thread_count < UCI_WORKERS_MAX)
        start_thread(workers);
    if (workers->thread_count)
        pthread_cond_signal(&workers->work_waits);
    else
        (void)run_one(workers);
    pthread_mutex_unlock(&workers->lock);
}

bool uci_workers_call_off(struct uci_workers *workers, struct uci_work *work)
{
    struct uci_work **link;
    bool found;

    pthread_mutex_lock(&workers->lock);
    for (link = &workers->waiting.first; *link && *link != work; link = &(*link)->next)
        ;
    found = *link != NULL;
    if (found) {
        *link = work->next;
        if (!*link)
            workers->waiting.last = link;
        workers->waiting.count--;
    }
    pthread_mutex_unlock(&workers->lock);
    return found;
}

struct uci_work *uci_workers_take_finished(struct uci_workers *workers)
{
    struct uci_work *all;

    pthread_mutex_lock(&workers->lock);
    all = workers->finished.first;
    queue_init(&workers->finished);
    pthread_mutex_unlock(&workers->lock);
    return all;
}

bool uci_workers_are_idle(struct uci_workers *workers, int64_t timeout_ns)
{
    struct timespec until;
    bool idle;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ns / 1000000000;
    until.tv_nsec += timeout_ns % 1000000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&workers->lock);
    while (workers->running || workers->waiting.first)
        if (pthread_cond_timedwait(&workers->work_ended, &workers->lock, &until) != 0)
            break;
    idle = !workers->running && !workers->waiting.first;
    pthread_mutex_unlock(&workers->lock);
    return idle;
}

void uci_workers_free(struct uci_workers *workers, bool in_child)
{
    uint32_t threads;
    bool running;

    if (in_child) {
        free(workers);
        return;
    }
    pthread_mutex_lock(&workers->lock);
    while (workers->finished.first) {
        struct uci_work *work = queue_take_first(&workers->finished);

        work->abandon(work);
    }
    workers->ending = true;
    running = workers->abandoned = workers->running > 0;
    threads = workers->thread_count;
    for (uint32_t i = 0; running && i < threads; i++)
        pthread_detach(workers->threads[i]);
    pthread_cond_broadcast(&workers->work_waits);
    pthread_mutex_unlock(&workers->lock);
    if (running)
        return;
    for (uint32_t i = 0; i < threads; i++)
        pthread_join(workers->threads[i], NULL);
    delete (workers);
}
