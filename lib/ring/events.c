#include "ring/events.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_CAPACITY 64

int uci_events_reserve(struct uci_events *events, uint32_t records)
{
    uint32_t needed = events->count + records;
    uint32_t capacity = events->capacity ? events->capacity : FIRST_CAPACITY;
    struct uc_event *queue;

    if (needed <= events->capacity)
        return 0;
    while (capacity < needed)
        capacity *= 2;
    queue = malloc(capacity * sizeof(*queue));
    if (!queue)
        return -ENOMEM;
    for (uint32_t i = 0; i < events->count; i++)
        queue[i] = events->queue[(events->first + i) & (events->capacity - 1)];
    free(events->queue);
    events->queue = queue;
    events->first = 0;
    events->capacity = capacity;
    return 0;
}

void uci_events_open(struct uci_events *events, struct uc_event *out, uint32_t max)
{
    events->out = out;
    events->out_max = max;
    events->out_count = 0;
    while (events->count && events->out_count < max) {
        out[events->out_count++] = events->queue[events->first];
        events->first = (events->first + 1) & (events->capacity - 1);
        events->count--;
    }
}

uint32_t uci_events_close(struct uci_events *events)
{
    uint32_t count = events->out_count;

    events->out = NULL;
    events->out_count = events->out_max = 0;
    return count;
}

struct uc_event *uci_events_push(struct uci_events *events)
{
    if (events->count == 0 && events->out_count < events->out_max)
        return &events->out[events->out_count++];
    return &events->queue[(events->first + events->count++) & (events->capacity - 1)];
}

void uci_events_finish(struct uci_events *events)
{
    free(events->queue);
    *events = (struct uci_events){0};
}
