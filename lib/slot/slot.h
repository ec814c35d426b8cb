/*
 * One-shot operations in flight. A slot holds what an operation needs until its completion: the
 * caller's cookie, a copy of a path, a time, or how far many reads have come. Slots never move,
 * because the kernel holds pointers into them; their table grows by blocks.
 */
#pragma once

#include <linux/time_types.h>
#include <stdbool.h>
#include <stdint.h>

struct uc_read_part;

/* What an operation of several parts has come to. */
struct uci_slot_many {
    struct uc_read_part *parts; /* the caller's */
    uint32_t count, left, failed;
};

struct uci_slot {
    uint32_t generation; /* rises when the slot is taken; part of the operation's identifier */
    uint32_t index;
    uint32_t kind; /* of user_data; 0 while free */
    uint32_t next_free;
    uint64_t cookie;
    void *memory;      /* a copy that dies with the operation, or NULL */
    uint64_t deadline; /* user_data of its timer, or 0 */
    uint64_t later;    /* of the timer of a cancellation that found nothing, or 0 */
    uint8_t in_vain;   /* how many of those there were, as far as that matters */
    bool is_cancelled; /* it was asked to end */
    bool is_late;      /* by its deadline */
    bool cancel_owed;  /* which found no room */
    union {
        struct __kernel_timespec time;
        struct uci_slot_many many;
    };
};

struct uci_slot_table {
    struct uci_slot **blocks;
    uint32_t block_count;
    uint32_t first_free;
    uint32_t used;
};

void uci_slot_table_init(struct uci_slot_table *table);
void uci_slot_table_finish(struct uci_slot_table *table); /* frees blocks and copies */

int uci_slot_take(struct uci_slot_table *table, uint32_t kind, uint64_t cookie,
                  struct uci_slot **ret_slot); /* -ENOMEM */
void uci_slot_release(struct uci_slot_table *table, struct uci_slot *slot);

/* Return: the slot in use that the three parts of a user_data name, or NULL. */
struct uci_slot *uci_slot_find(struct uci_slot_table *table, uint32_t kind, uint32_t generation,
                               uint32_t index);

/* Return: the @index-th slot whether in use or free, or NULL past the end; for walking over all. */
struct uci_slot *uci_slot_at(struct uci_slot_table *table, uint32_t index);
