#include "places.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ring/ring.h"
#include "uring/uring.h"

struct uct_place uct_make_place(struct uct *t)
{
    struct uct_place place;

    snprintf(place.path, sizeof(place.path), "%s/uc-files-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(place.path));
    place.fd = uct_peer(t, open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    assert_true(place.fd >= 0);
    return place;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

void uct_remove_place(const struct uct_place *place)
{
    assert_int_equal(nftw(place->path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

int uct_make_file(struct uct *t, const struct uct_place *place, const char *name, uint64_t seed,
                  uint32_t bytes)
{
    int fd = openat(place->fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    uint8_t *memory = malloc(bytes + 1);

    assert_true(fd >= 0 && memory);
    uct_pattern(seed, 0, memory, bytes);
    assert_int_equal(pwrite(fd, memory, bytes, 0), bytes);
    free(memory);
    return uct_peer(t, fd);
}

void uct_call_opens(struct uct *t)
{
    if (uct_is_uring(t))
        uci_uring_of(t->ring->backend)->called |= UINT64_C(1) << UCI_OP_OPENAT;
}

void uct_make_fifo(const struct uct_place *place, const char *name)
{
    assert_int_equal(mkfifoat(place->fd, name, 0600), 0);
}

int uct_open_other_end(const struct uct_place *place, const char *name)
{
    uint64_t until = uct_now_ms() + uct_deadline_ms();
    int fd;

    do {
        fd = openat(place->fd, name, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    } while (fd < 0 && errno == ENXIO && uct_now_ms() < until);
    assert_true(fd >= 0);
    return fd;
}
