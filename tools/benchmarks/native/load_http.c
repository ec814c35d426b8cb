/*
 * load_http.c - dialogue: keep-alive GET, response by Content-Length
 *
 * "{key}" in the path becomes the request's place in the pattern, so that every response differs
 * and a response given to the wrong request shows. A response without Content-Length, or with a
 * status other than 200, is an error.
 */
#include "load.h"
#include "pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char placeholder[] = "{key}";

/* The key of a request: 0 when the path does not ask for one. */
static uint32_t key_of(const struct load *load, uint32_t connection, uint64_t sequence)
{
    return strstr(load->options.path, placeholder) ? pattern_key(connection, sequence) : 0;
}

static size_t http_request(const struct load *load, uint32_t connection, uint64_t sequence,
                           uint64_t offset, unsigned char *scratch, const unsigned char **ret_at)
{
    const char *path = load->options.path;
    const char *hole = strstr(path, placeholder);
    char key[16] = "";
    int before = hole ? (int)(hole - path) : (int)strlen(path);
    int length;

    if (hole)
        snprintf(key, sizeof(key), "%u", pattern_key(connection, sequence));
    length = snprintf((char *)scratch, LOAD_PIECE_BYTES,
                      "GET %.*s%s%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: */*\r\n\r\n", before,
                      path, key, hole ? hole + sizeof(placeholder) - 1 : "", load->options.port);
    *ret_at = scratch + offset;
    return (size_t)length - (size_t)offset;
}

/* The bytes of @length up to and with the empty line; 0 when there is none yet. */
static size_t head_end(const unsigned char *bytes, size_t length)
{
    const unsigned char *end = memmem(bytes, length, "\r\n\r\n", 4);

    return end ? (size_t)(end - bytes) + 4 : 0;
}

/* The value of Content-Length in a head, or -1. */
static long long content_length(const char *head, size_t length)
{
    static const char name[] = "content-length:";
    const char *end = head + length;

    for (const char *line = head; line < end;) {
        const char *next = memchr(line, '\n', (size_t)(end - line));

        if (!next)
            break;
        if ((size_t)(next - line) > sizeof(name) - 1 && !strncasecmp(line, name, sizeof(name) - 1))
            return strtoll(line + sizeof(name) - 1, NULL, 10);
        line = next + 1;
    }
    return -1;
}

/* Reads a whole head, which ends in an empty line. */
static int take_head(struct load *load, struct connection *connection, const char *head,
                     size_t length)
{
    long long body;

    if (length < 13 || memcmp(head, "HTTP/1.1 200 ", 13)) {
        load_fail(load, "connection %u, request %llu: the answer begins \"%.*s\"",
                  connection->index, (unsigned long long)connection->answered,
                  (int)strcspn(head, "\r\n"), head);
        return -1;
    }
    body = content_length(head, length);
    if (body < 0 || (load->options.size && body != (long long)load->options.size)) {
        load_fail(load, "connection %u, request %llu: Content-Length is %lld, expected %u",
                  connection->index, (unsigned long long)connection->answered, body,
                  load->options.size);
        return -1;
    }
    connection->in_body = true;
    connection->body_left = (uint64_t)body;
    connection->head_length = 0;
    return 0;
}

/* Takes bytes into the head; returns how many it used, or -1. */
static ssize_t receive_head(struct load *load, struct connection *connection,
                            const unsigned char *bytes, size_t length)
{
    size_t before = connection->head_length, room, part, end;

    if (!before && (end = head_end(bytes, length)))
        return take_head(load, connection, (const char *)bytes, end) < 0 ? -1 : (ssize_t)end;
    if (!connection->head && !(connection->head = malloc(LOAD_HEAD_BYTES))) {
        load_fail(load, "out of memory");
        return -1;
    }
    room = LOAD_HEAD_BYTES - before;
    part = length < room ? length : room;
    memcpy(connection->head + before, bytes, part);
    connection->head_length += (uint32_t)part;
    end = head_end(connection->head, connection->head_length);
    if (end)
        return take_head(load, connection, (const char *)connection->head, end) < 0
                   ? -1
                   : (ssize_t)(end - before);
    if (connection->head_length == LOAD_HEAD_BYTES) {
        load_fail(load, "connection %u: a response head over %u bytes", connection->index,
                  LOAD_HEAD_BYTES);
        return -1;
    }
    return (ssize_t)part;
}

/* Compares @length bytes of the body with the pattern. */
static int compare(struct load *load, struct connection *connection, const unsigned char *bytes,
                   size_t length)
{
    uint32_t key = key_of(load, connection->index, connection->answered);

    load->verified_bytes += length;
    for (uint64_t offset = connection->read_offset; length;) {
        size_t piece;
        const unsigned char *expected = pattern_at(key, offset, &piece);

        if (piece > length)
            piece = length;
        if (memcmp(bytes, expected, piece)) {
            load_fail(load, "connection %u, request %llu: wrong byte within %zu of body byte %llu",
                      connection->index, (unsigned long long)connection->answered, piece,
                      (unsigned long long)offset);
            return -1;
        }
        bytes += piece;
        offset += piece;
        length -= piece;
    }
    return 0;
}

static int http_receive(struct load *load, struct connection *connection,
                        const unsigned char *bytes, size_t length)
{
    while (length) {
        ssize_t used;

        if (connection->answered == connection->issued) {
            load_fail(load, "connection %u: %zu bytes that nobody asked for", connection->index,
                      length);
            return -1;
        }
        if (!connection->in_body) {
            used = receive_head(load, connection, bytes, length);
            if (used < 0)
                return -1;
        } else {
            used = (ssize_t)(length < connection->body_left ? length : connection->body_left);
            if (load->options.verify && compare(load, connection, bytes, (size_t)used) < 0)
                return -1;
            connection->read_offset += (uint64_t)used;
            connection->body_left -= (uint64_t)used;
        }
        bytes += used;
        length -= (size_t)used;
        if (connection->in_body && !connection->body_left) {
            connection->in_body = false;
            connection_answered(load, connection);
        }
    }
    return 0;
}

const struct dialogue dialogue_http = {
    .name = "http",
    .request = http_request,
    .receive = http_receive,
};
