/*
 * pattern.c - the bytes every message is made of
 */
#include "pattern.h"

#include <string.h>

/* Twice the period, so that a message shorter than the period is always one piece. */
static unsigned char table[2 * PATTERN_PERIOD];

void pattern_init(void)
{
    uint32_t x = 1;

    for (size_t i = 0; i < PATTERN_PERIOD; i++) {
        x = x * 1103515245u + 12345u;
        table[i] = (unsigned char)(x >> 16);
    }
    memcpy(table + PATTERN_PERIOD, table, PATTERN_PERIOD);
}

uint32_t pattern_key(uint32_t connection, uint64_t sequence)
{
    uint64_t x = ((uint64_t)connection << 40) ^ sequence;

    x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15u;
    x ^= x >> 29;
    return (uint32_t)(x % PATTERN_PERIOD);
}

const unsigned char *pattern_at(uint32_t key, uint64_t offset, size_t *ret_length)
{
    size_t at = (size_t)((key + offset) % PATTERN_PERIOD);

    *ret_length = sizeof(table) - at;
    return table + at;
}
