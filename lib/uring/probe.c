/*
 * What io_uring can here, found out by doing it.
 *
 * Setting up a ring proves little. A seccomp filter may allow io_uring_setup and refuse
 * io_uring_enter or io_uring_register; a sandbox may implement half of it. So a small ring, made
 * and driven through the same table as all others, waits with a time limit for data that does not
 * come, receives a byte that does, and cancels the next receive.
 *
 * When a ring ends, the kernel interrupts every thread that has entered it, some 20 ms later: the
 * wait that it is in by then, whose ever it is, fails with EINTR. So the ring is driven by a thread
 * that is gone by then.
 */
#include "uring/probe.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/backend.h"
#include "base/clock.h"
#include "pool/pool.h"

#define SQ_ENTRIES 8
#define CQ_ENTRIES 16
#define BUFFER_BYTES 4096
#define BUFFERS 2
#define WAIT_NS 10000
#define PATIENCE_NS UINT64_C(1000000000)
#define BYTE 0x5a

enum {
    RECEIVE = 1,
    CANCEL = 2
};

struct trial {
    struct uci_backend *backend;
    uc_pool *pool;
    int pair[2];
    uint32_t buffer; /* to receive into */
    uint64_t deadline;
};

static int open_ring(const struct uci_backend_options *wishes, uint32_t pool_flags,
                     struct trial *trial, uint64_t *ret_features)
{
    struct uc_pool_options pool = {
        .size = sizeof(pool),
        .flags = pool_flags,
        .buffer_bytes = BUFFER_BYTES,
        .buffer_count = BUFFERS,
        .buffer_max = BUFFERS,
    };
    struct uci_backend_options options = *wishes;
    struct uc_ring_info info = {0};
    int r = uc_pool_new(&pool, &trial->pool);

    if (r < 0)
        return r;
    options.sq_entries = SQ_ENTRIES;
    options.cq_entries = CQ_ENTRIES;
    options.pool = trial->pool;
    r = uci_backend_uring.open(&options, &info, &trial->backend);
    if (r < 0)
        uc_pool_free(trial->pool);
    else
        *ret_features = info.features;
    return r;
}

/* What is still in flight may write into the pool until the kernel has let go of the ring. */
static void close_ring(struct trial *trial, bool in_flight)
{
    const struct uci_backend_table *table = trial->backend->table;
    bool leaked = false;

    if (in_flight) {
        table->stop(trial->backend);
        leaked = !table->is_stopped(trial->backend, (int64_t)PATIENCE_NS);
    }
    table->free(trial->backend, false);
    if (!leaked)
        uc_pool_free(trial->pool);
}

/* Take the next completion. Return: 0, or -ETIME when none came in time. */
static int next_completion(struct trial *trial, uint64_t patience_ns,
                           struct uci_completion *completion)
{
    const struct uci_backend_table *table = trial->backend->table;
    uint64_t deadline = uci_clock_now_ns() + patience_ns;

    for (;;) {
        int r;

        if (!trial->backend->queued && table->reap(trial->backend, completion, 1) == 1)
            return 0;
        if (uci_clock_now_ns() > deadline)
            return -ETIME;
        r = table->enter(trial->backend, true, (int64_t)patience_ns);
        if (r < 0 && r != -EINTR)
            return r;
        if (table->reap(trial->backend, completion, 1) == 1)
            return 0;
    }
}

/* A receive as the ring would make it for a connection. */
static int submit_receive(struct trial *trial)
{
    uint64_t features = trial->backend->features;
    struct uci_operation receive = {
        .op = UCI_OP_RECV,
        .fd = trial->pair[0],
        .user_data = RECEIVE,
    };

    if (features & UC_FEATURE_BUFFER_RING) {
        receive.shape = UCI_OPERATION_PROVIDED;
    } else {
        receive.address =
            (uint64_t)(uintptr_t)(trial->pool->base + uci_pool_offset(trial->pool, trial->buffer));
        receive.length = BUFFER_BYTES;
    }
    if (features & UC_FEATURE_MULTISHOT_RECV)
        receive.shape |= UCI_OPERATION_MULTISHOT;
    return trial->backend->table->submit(trial->backend, &receive);
}

static void provide_buffers(struct trial *trial)
{
    while (uci_pool_take(trial->pool, &trial->buffer) == 0)
        if (trial->backend->features & UC_FEATURE_BUFFER_RING)
            trial->backend->table->provide(trial->backend, trial->buffer);
}

/* Whether a completion brings the byte that was sent. */
static bool brings_the_byte(const struct trial *trial, const struct uci_completion *completion)
{
    uint32_t buffer =
        completion->flags & UCI_COMPLETION_BUFFER ? completion->buffer : trial->buffer;

    return completion->user_data == RECEIVE && completion->result == 1 && buffer < BUFFERS &&
           trial->pool->base[uci_pool_offset(trial->pool, buffer)] == BYTE;
}

/* Return: 0, a negative errno, or -EIO for what no working kernel does. */
static int try_wait(struct trial *trial)
{
    struct uci_completion completion;
    int r = submit_receive(trial);

    if (r == 0)
        r = next_completion(trial, WAIT_NS, &completion);
    if (r == -ETIME)
        return 0;
    if (r < 0)
        return r;
    return completion.result < 0 ? completion.result : -EIO;
}

static int try_receive(struct trial *trial, bool *ret_armed)
{
    const uint8_t byte = BYTE;
    struct uci_completion completion;
    int r;

    if (send(trial->pair[1], &byte, 1, MSG_NOSIGNAL) != 1)
        return -errno;
    r = next_completion(trial, PATIENCE_NS, &completion);
    if (r < 0)
        return r;
    if (!brings_the_byte(trial, &completion))
        return completion.result < 0 ? completion.result : -EIO;
    *ret_armed = completion.flags & UCI_COMPLETION_MORE;
    return 0;
}

static int try_cancel(struct trial *trial, bool armed)
{
    struct uci_operation cancel = {
        .op = UCI_OP_CANCEL,
        .fd = -1,
        .offset = RECEIVE,
        .user_data = CANCEL,
    };
    struct uci_completion completion;
    int32_t ended = 0;
    int r = armed ? 0 : submit_receive(trial);

    if (r == 0)
        r = trial->backend->table->submit(trial->backend, &cancel);
    for (int left = 2; r == 0 && left > 0; left--) {
        r = next_completion(trial, PATIENCE_NS, &completion);
        if (r == 0 && completion.user_data == RECEIVE)
            ended = completion.result;
    }
    if (r < 0)
        return r;
    return ended == -ECANCELED ? 0 : -EIO;
}

static void drive(struct trial *trial, struct uci_ability *ability)
{
    bool armed = false;

    ability->step = UCI_PROBE_ENABLE;
    ability->error = trial->backend->table->enable(trial->backend);
    if (ability->error < 0)
        return;
    provide_buffers(trial);
    ability->step = UCI_PROBE_WAIT;
    ability->error = try_wait(trial);
    if (ability->error < 0)
        return;
    ability->step = UCI_PROBE_RECEIVE;
    ability->error = try_receive(trial, &armed);
    if (ability->error < 0)
        return;
    ability->step = UCI_PROBE_CANCEL;
    ability->error = try_cancel(trial, armed);
    if (ability->error == 0)
        ability->step = UCI_PROBE_DONE;
}

static struct uci_ability find_out(void)
{
    const struct uci_backend_options plain = {0};
    struct uci_ability ability = {.step = UCI_PROBE_SETUP};
    struct trial trial;

    ability.error = open_ring(&plain, 0, &trial, &ability.features);
    if (ability.error == 0) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, trial.pair) == 0) {
            drive(&trial, &ability);
            close(trial.pair[0]);
            close(trial.pair[1]);
        } else {
            ability.step = UCI_PROBE_SOCKETS;
            ability.error = -errno;
        }
        close_ring(&trial, ability.step != UCI_PROBE_DONE);
    }
    return ability;
}

static void *find_out_apart(void *ret_ability)
{
    *(struct uci_ability *)ret_ability = find_out();
    return NULL;
}

void uci_uring_probe(struct uci_ability *ret_ability)
{
    sigset_t all, before;
    pthread_t thread;
    int r;

    /* The program's signals are for its own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&thread, NULL, find_out_apart, ret_ability);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r == 0)
        pthread_join(thread, NULL);
    else
        *ret_ability = find_out();
}

/* Return: the features of a ring made with these wishes, or 0 if it cannot be made. */
static uint64_t features_with(const struct uci_backend_options *wishes, uint32_t pool_flags)
{
    struct trial trial;
    uint64_t features = 0;

    if (open_ring(wishes, pool_flags, &trial, &features) == 0)
        close_ring(&trial, false);
    return features;
}

uint64_t uci_uring_probe_special(void)
{
    const struct uci_backend_options plain = {0};
    const struct uci_backend_options fallback = {.features_off = UC_FEATURE_DEFER_TASKRUN};
    const struct uci_backend_options sqpoll = {
        .sqpoll = UC_SQPOLL_REQUIRE,
        .sqpoll_idle_ms = 1,
    };

    return (features_with(&fallback, 0) & UC_FEATURE_COOP_TASKRUN) |
           (features_with(&sqpoll, 0) & UC_FEATURE_SQPOLL) |
           (features_with(&plain, UC_POOL_REGISTER_REQUIRED) & UC_FEATURE_REGISTERED_BUFFERS);
}
