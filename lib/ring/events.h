/*
 * Records on their way to the caller.
 *
 * During uc_ring_wait() a record goes straight into the caller's array. One that is made at another
 * time (a close with nothing in flight), or finds the array full, waits in a queue. Room in the
 * queue is reserved before anything is done that makes a record, so that making one cannot fail.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uc/event.h>

struct uci_events {
    struct uc_event *out; /* the caller's array, during uc_ring_wait() */
    uint32_t out_count, out_max;
    struct uc_event *queue; /* a ring buffer; capacity is a power of two */
    uint32_t first, count, capacity;
};

/* Make sure that @records more can be queued: 0 or -ENOMEM. */
int uci_events_reserve(struct uci_events *events, uint32_t records);

/* Begin and end a turn. What is queued goes out first. */
void uci_events_open(struct uci_events *events, struct uc_event *out, uint32_t max);
uint32_t uci_events_close(struct uci_events *events);

/* Room for one record, to be filled in at once. */
struct uc_event *uci_events_push(struct uci_events *events);

/* The last record that was put into the caller's array in this turn, or NULL. */
static inline struct uc_event *uci_events_last(const struct uci_events *events)
{
    return events->out_count && !events->count ? &events->out[events->out_count - 1] : NULL;
}

static inline uint32_t uci_events_room(const struct uci_events *events)
{
    return events->out_max - events->out_count;
}

void uci_events_finish(struct uci_events *events);
