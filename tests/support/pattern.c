#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "support.h"

/* The period is a prime, so that a piece lost or doubled at any usual size shifts what follows. */
#define PERIOD 65521u

static uint8_t table[2 * PERIOD];

static const uint8_t *at(uint64_t seed, uint64_t position)
{
    uint32_t number = 2463534242u;

    if (!table[0]) {
        for (uint32_t i = 0; i < PERIOD; i++) {
            number ^= number << 13;
            number ^= number >> 17;
            number ^= number << 5;
            table[i] = table[i + PERIOD] = (uint8_t)number;
        }
        table[0] = table[PERIOD] = 1;
    }
    return table + (position + seed * 7919) % PERIOD;
}

void uct_pattern(uint64_t seed, uint64_t position, void *bytes, uint64_t count)
{
    uint8_t *to = bytes;

    while (count) {
        uint64_t piece = count < PERIOD ? count : PERIOD;

        memcpy(to, at(seed, position), piece);
        to += piece;
        position += piece;
        count -= piece;
    }
}

bool uct_matches(uint64_t seed, uint64_t position, const void *bytes, uint64_t count)
{
    const uint8_t *from = bytes;

    while (count) {
        uint64_t piece = count < PERIOD ? count : PERIOD;

        if (memcmp(from, at(seed, position), piece) != 0)
            return false;
        from += piece;
        position += piece;
        count -= piece;
    }
    return true;
}

bool uct_write_some(int fd, uint64_t seed, uint64_t *position, uint64_t total)
{
    while (*position < total) {
        uint64_t left = total - *position;
        ssize_t n = send(fd, at(seed, *position), left < PERIOD ? left : PERIOD,
                         MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        *position += (uint64_t)n;
    }
    return true;
}

void uct_write_all(int fd, uint64_t seed, uint64_t *position, uint64_t count)
{
    uint64_t total = *position + count;
    struct pollfd room = {.fd = fd, .events = POLLOUT};

    while (*position < total) {
        assert_true(uct_write_some(fd, seed, position, total));
        if (*position < total && poll(&room, 1, (int)uct_deadline_ms()) == 0)
            fail_msg("the other side does not read");
    }
}

bool uct_read_some(int fd, uint64_t seed, uint64_t *position)
{
    static uint8_t buffer[1 << 16];

    for (;;) {
        ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (n <= 0)
            return false;
        if (!uct_matches(seed, *position, buffer, (uint64_t)n))
            fail_msg("bytes %llu to %llu are not those that were sent",
                     (unsigned long long)*position, (unsigned long long)*position + n);
        *position += (uint64_t)n;
    }
}
