/*
 * load_echo.c - dialogue: a message comes back as it was sent
 *
 * A message is a stamp (connection and sequence number, as much of it as fits) and then the
 * pattern from the message's key on.
 */
#include "load.h"
#include "pattern.h"

#include <string.h>

static size_t echo_request(const struct load *load, uint32_t connection, uint64_t sequence,
                           uint64_t offset, unsigned char *scratch, const unsigned char **ret_at)
{
    uint64_t stamp[2] = {connection, sequence};
    uint64_t left = load->options.size - offset;
    uint64_t length = left;

    if (!left)
        return 0;
    if (offset < LOAD_STAMP_BYTES) {
        size_t head = LOAD_STAMP_BYTES - (size_t)offset;
        size_t pattern_bytes;
        const unsigned char *pattern;

        if (head > left)
            head = (size_t)left;
        memcpy(scratch, (unsigned char *)stamp + offset, head);
        /* A small message is composed whole: one copy costs less than a second piece. */
        length = left < LOAD_PIECE_BYTES ? left : head;
        if (length > head) {
            pattern = pattern_at(pattern_key(connection, sequence), 0, &pattern_bytes);
            memcpy(scratch + head, pattern, (size_t)length - head);
        }
        *ret_at = scratch;
    } else {
        size_t pattern_bytes;

        *ret_at = pattern_at(pattern_key(connection, sequence), offset - LOAD_STAMP_BYTES,
                             &pattern_bytes);
        if (length > pattern_bytes)
            length = pattern_bytes;
    }
    return (size_t)length;
}

/* Compares @length received bytes with what connection and sequence call for. */
static int compare(struct load *load, struct connection *connection, const unsigned char *bytes,
                   size_t length)
{
    unsigned char scratch[LOAD_PIECE_BYTES];
    uint64_t offset = connection->read_offset;

    load->verified_bytes += length;
    while (length) {
        const unsigned char *expected;
        size_t piece =
            echo_request(load, connection->index, connection->answered, offset, scratch, &expected);
        if (piece > length)
            piece = length;
        if (memcmp(bytes, expected, piece)) {
            size_t at = 0;

            while (bytes[at] == expected[at])
                at++;
            load_fail(load, "connection %u, message %llu: byte %llu is 0x%02x, must be 0x%02x",
                      connection->index, (unsigned long long)connection->answered,
                      (unsigned long long)(offset + at), bytes[at], expected[at]);
            return -1;
        }
        bytes += piece;
        offset += piece;
        length -= piece;
    }
    return 0;
}

static int echo_receive(struct load *load, struct connection *connection,
                        const unsigned char *bytes, size_t length)
{
    while (length) {
        uint64_t left = load->options.size - connection->read_offset;
        size_t part = length < left ? length : (size_t)left;

        if (connection->answered == connection->issued) {
            load_fail(load, "connection %u: %zu bytes more than were sent", connection->index,
                      length);
            return -1;
        }
        if (load->options.verify && compare(load, connection, bytes, part) < 0)
            return -1;
        connection->read_offset += part;
        bytes += part;
        length -= part;
        if (connection->read_offset == load->options.size)
            connection_answered(load, connection);
    }
    return 0;
}

const struct dialogue dialogue_echo = {
    .name = "echo",
    .request = echo_request,
    .receive = echo_receive,
};
