#include <errno.h>
#include <string.h>

#include "base/versioned.h"

/* No struct of ours comes near it; a size above it is a mistake or uninitialised memory. */
#define SIZE_MAX_BELIEVABLE 4096u

/* Return: the size that stands at the head of @given, or 0 for an impossible one. */
static size_t size_of(const void *given, size_t least)
{
    uint32_t size;

    memcpy(&size, given, sizeof size);
    if (size < least || size > SIZE_MAX_BELIEVABLE || size % sizeof(uint32_t))
        return 0;
    return size;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

int uci_struct_in(void *known, size_t known_bytes, size_t least, const void *given)
{
    const uint8_t *bytes = given;
    size_t size = size_of(given, least);

    if (!size)
        return -EINVAL;
    for (size_t i = known_bytes; i < size; i++)
        if (bytes[i])
            return -E2BIG;
    memcpy(known, given, smaller(size, known_bytes));
    return 0;
}

int uci_struct_out(void *given, const void *known, size_t known_bytes, size_t least)
{
    size_t head = sizeof(uint32_t);
    size_t size = size_of(given, least);

    if (!size)
        return -EINVAL;
    memcpy((uint8_t *)given + head, (const uint8_t *)known + head,
           smaller(size, known_bytes) - head);
    if (size > known_bytes)
        memset((uint8_t *)given + known_bytes, 0, size - known_bytes);
    return 0;
}
