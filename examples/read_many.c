/*
 * Looking many things up in a file with one record: the lines that begin at given offsets.
 *
 *   read_many FILE OFFSET...     prints what stands at each, up to the end of its line
 *
 * All reads are submitted together, and the whole has a second to end. What is cached is read by
 * one kernel entry, however many reads that is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uc.h>
#include <unistd.h>

#define LINE_BYTES 4096
#define SECOND_NS UINT64_C(1000000000)

static int check(const char *what, int result)
{
    if (result >= 0)
        return result;
    fprintf(stderr, "read_many: %s: %s\n", what, uc_error_name(result));
    exit(1);
}

static void print_line(const struct uc_read_part *part)
{
    const char *text = part->buffer, *end;

    check("read", part->result);
    end = memchr(text, '\n', (size_t)part->result);
    printf("%.*s\n", (int)(end ? end - text : part->result), text);
}

int main(int argc, char **argv)
{
    uint32_t count = argc > 2 ? (uint32_t)(argc - 2) : 0;
    struct uc_read_part *parts;
    struct uc_event event;
    uc_ring *ring;
    uint64_t op;
    char *memory;
    int fd, n;

    check("usage: read_many FILE OFFSET...", count && count <= UC_READ_MANY_MAX ? 0 : -EINVAL);
    fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    check(argv[1], fd < 0 ? -errno : 0);
    parts = calloc(count, sizeof(*parts));
    memory = malloc((size_t)count * LINE_BYTES);
    check("memory", parts && memory ? 0 : -ENOMEM);
    for (uint32_t i = 0; i < count; i++) {
        parts[i].fd = fd;
        parts[i].bytes = LINE_BYTES;
        parts[i].offset = strtoull(argv[i + 2], NULL, 0);
        parts[i].buffer = memory + (size_t)i * LINE_BYTES;
    }

    check("uc_ring_new", uc_ring_new(NULL, &ring));
    check("uc_op_read_many", uc_op_read_many(ring, parts, count, 0, &op));
    check("uc_op_set_deadline", uc_op_set_deadline(ring, op, SECOND_NS));
    while ((n = uc_ring_wait(ring, &event, 1, -1)) == 0 || n == -EINTR)
        ;
    check("uc_ring_wait", n);
    for (uint32_t i = 0; i < count; i++)
        print_line(&parts[i]);
    uc_ring_free(ring); /* and with it the timer, if it has not ended yet */
    free(memory);
    free(parts);
    close(fd);
    return 0;
}
