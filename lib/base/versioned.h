/*
 * Public structs that may grow: their first member is `size`, set by the caller to the size it was
 * compiled with. An older caller's struct is shorter, a newer one's is longer; its unknown tail
 * must be zero.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Copy a caller's options into `known` (already holding the defaults for members that an older
 * caller does not have). @least is the size of the struct's first release.
 * Return: 0, -EINVAL for an impossible size, -E2BIG for a non-zero unknown tail. */
int uci_struct_in(void *known, size_t known_bytes, size_t least, const void *given);

/* Copy `known` to a caller's struct, as much as it has room for; its `size` stays.
 * Return: 0, or -EINVAL for an impossible size. Longer structs get zeros in their tail. */
int uci_struct_out(void *given, const void *known, size_t known_bytes, size_t least);
