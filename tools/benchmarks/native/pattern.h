/*
 * pattern.h - the bytes every message is made of
 *
 * One table of PATTERN_PERIOD pseudo-random bytes, read cyclically. A message starts at a place in
 * the table that its key gives, and the key comes from the connection and the sequence number: a
 * lost, doubled, swapped or misrouted byte shows. The period is a prime, so no power-of-two buffer
 * lines up with it. tools/demonstration/pattern.py makes the same table.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define PATTERN_PERIOD 65521u

void pattern_init(void);

/* The place in the table where message @sequence of connection @connection starts. */
uint32_t pattern_key(uint32_t connection, uint64_t sequence);

/* The bytes at @key + @offset; *@ret_length says how many follow without a wrap (at least 1). */
const unsigned char *pattern_at(uint32_t key, uint64_t offset, size_t *ret_length);
