/*
 * Threads for what cannot be asked for without waiting: files, where readiness says nothing.
 *
 * At most UCI_WORKERS_MAX threads, each started when work waits and no thread is free, and ended
 * with the workers. They block all signals. Work that has not started can be called off; work that
 * has started runs to its end.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define UCI_WORKERS_MAX 4

struct uci_workers;

/* A piece of work, inside whatever it is about. It belongs to the workers until it is finished. */
struct uci_work {
    struct uci_work *next;
    void (*run)(struct uci_work *work);
    void (*abandon)(struct uci_work *work); /* nobody takes it any more: free it */
};

/* @bell_fd: what eight bytes are written to, as an eventfd takes them, when there is finished work
 * to take after there was none; it stays the caller's, who silences it before he takes. */
int uci_workers_new(int bell_fd, struct uci_workers **ret_workers);

/* Have @work run. Where no thread can be had it has run on return. */
void uci_workers_add(struct uci_workers *workers, struct uci_work *work);

/* Return: whether @work had not started; then it is the caller's again. */
bool uci_workers_call_off(struct uci_workers *workers, struct uci_work *work);

/* All work that has finished since the last call, the first one first. */
struct uci_work *uci_workers_take_finished(struct uci_workers *workers);

/* Wait up to @timeout_ns. Return: whether no work is running any more. */
bool uci_workers_are_idle(struct uci_workers *workers, int64_t timeout_ns);

/* End the threads. Nothing may be waiting; what still runs, or was not taken, is abandoned. In a
 * forked child there are no threads, and only memory is freed. */
void uci_workers_free(struct uci_workers *workers, bool in_child);
