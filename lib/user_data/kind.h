/* What a completion is about: the kind byte of user_data. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum uci_kind {
    /* operations on attached descriptors: index is the descriptor */
    UCI_KIND_RECV = 1,
    UCI_KIND_ACCEPT,
    UCI_KIND_SEND,
    UCI_KIND_CONNECT,
    UCI_KIND_POLL,
    UCI_KIND_FD_LAST = UCI_KIND_POLL,
    /* one-shot operations: index is a slot */
    UCI_KIND_NOP,
    UCI_KIND_READ,
    UCI_KIND_WRITE,
    UCI_KIND_FSYNC,
    UCI_KIND_OPENAT,
    UCI_KIND_CLOSE,
    UCI_KIND_STATX,
    UCI_KIND_TIMEOUT,
    UCI_KIND_SPLICE,
    UCI_KIND_FILE,      /* any other on a file or a name: its result is a number and no more */
    UCI_KIND_READ_MANY, /* of several parts: never a completion's */
    UCI_KIND_SLOT_LAST = UCI_KIND_READ_MANY,
    /* libuc's own */
    UCI_KIND_CANCEL,      /* its result says nothing: the operation's own completion does */
    UCI_KIND_CANCEL_SLOT, /* of a one-shot operation: index and generation are its slot's */
    UCI_KIND_CANCEL_PART, /* of one part of READ_MANY: index and generation are that part's */
    UCI_KIND_WAKE,
    UCI_KIND_DEADLINE,     /* of a one-shot operation: index is a slot */
    UCI_KIND_CANCEL_LATER, /* the same, of a cancellation to be asked for once more */
    UCI_KIND_PART, /* of READ_MANY: index is its slot, generation says which (read_many.c) */
};

/* uc_user_data_pack() for parts known to be in range. */
static inline uint64_t uci_user_data(uint32_t kind, uint32_t generation, uint32_t index)
{
    return (uint64_t)kind << 56 | (uint64_t)generation << 24 | index;
}

static inline uint32_t uci_user_data_kind(uint64_t user_data)
{
    return (uint32_t)(user_data >> 56);
}

static inline uint32_t uci_user_data_generation(uint64_t user_data)
{
    return (uint32_t)(user_data >> 24);
}

static inline uint32_t uci_user_data_index(uint64_t user_data)
{
    return (uint32_t)(user_data & 0xffffff);
}
