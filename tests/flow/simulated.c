#include "simulated.h"

#include <string.h>

static struct sim sim;

static void make(uint64_t user_data, int32_t result, uint32_t flags)
{
    assert_in_range(sim.ready_count, 0, 2 * SIM_SENDS - 1);
    sim.ready[sim.ready_count++] = (struct uci_completion){
        .user_data = user_data,
        .result = result,
        .flags = flags,
    };
}

static struct sim_send *find(uint64_t user_data)
{
    for (uint32_t i = sim.count; i-- > 0;)
        if (sim.sends[i].user_data == user_data)
            return &sim.sends[i];
    return NULL;
}

static int refuse(struct sim_send *send)
{
    send->completed = true;
    send->noticed = !sim.refusal_has_notice;
    sim.outstanding -= send->noticed;
    make(send->user_data, sim.refuse_with, sim.refusal_has_notice ? UCI_COMPLETION_MORE : 0);
    sim.refuse_with = 0;
    return 0;
}

static int sim_submit(struct uci_backend *backend, const struct uci_operation *operation)
{
    struct uci_operation plain = *operation;

    if (!(operation->shape & UCI_OPERATION_ZERO_COPY))
        return sim.real->submit(backend, operation);
    assert_in_range(sim.count, 0, SIM_SENDS - 1);
    sim.sends[sim.count] = (struct sim_send){
        .user_data = operation->user_data,
        .op = operation->op,
        .shape = operation->shape,
        .address = operation->address,
        .length = operation->length,
    };
    sim.count++;
    sim.outstanding++;
    if (sim.refuse_with)
        return refuse(&sim.sends[sim.count - 1]);
    plain.shape &= (uint8_t)~(UCI_OPERATION_ZERO_COPY | UCI_OPERATION_FIXED);
    if (sim.cut_to && plain.op == UCI_OP_SEND) {
        plain.length = sim.cut_to;
        sim.cut_to = 0;
    }
    return sim.real->submit(backend, &plain);
}

static int sim_enter(struct uci_backend *backend, bool wait, int64_t timeout_ns)
{
    return sim.real->enter(backend, wait && !sim.ready_count, timeout_ns);
}

static uint32_t sim_reap(struct uci_backend *backend, struct uci_completion *completions,
                         uint32_t max)
{
    uint32_t n = sim.real->reap(backend, completions, max), made;

    for (uint32_t i = 0; i < n; i++) {
        struct sim_send *send = find(completions[i].user_data);

        if (!send)
            continue;
        send->completed = true;
        send->result = completions[i].result;
        completions[i].flags |= UCI_COMPLETION_MORE;
    }
    made = sim.ready_count < max - n ? sim.ready_count : max - n;
    memcpy(completions + n, sim.ready, made * sizeof(*completions));
    sim.ready_count -= made;
    memmove(sim.ready, sim.ready + made, sim.ready_count * sizeof(*sim.ready));
    return n + made;
}

static int sim_reset(int fd)
{
    int r = sim.real->reset(fd);

    sim.resets++;
    sim_notice_all(&sim);
    return r;
}

struct sim *sim_install(struct uct *t)
{
    struct uci_backend *backend = t->ring->backend;

    sim = (struct sim){.real = backend->table, .table = *backend->table};
    sim.table.submit = sim_submit;
    sim.table.enter = sim_enter;
    sim.table.reap = sim_reap;
    sim.table.reset = sim_reset;
    backend->table = &sim.table;
    backend->features |= UC_FEATURE_SEND_ZERO_COPY;
    return &sim;
}

void sim_notice(struct sim *s, uint32_t send, bool copied)
{
    assert_true(send < s->count && s->sends[send].completed && !s->sends[send].noticed);
    s->sends[send].noticed = true;
    s->outstanding--;
    make(s->sends[send].user_data, 0, copied ? UCI_COMPLETION_COPIED : 0);
}

void sim_notice_all(struct sim *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->sends[i].completed && !s->sends[i].noticed)
            sim_notice(s, i, false);
}
