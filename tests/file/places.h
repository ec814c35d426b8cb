/* Where the tests on files work: a directory of their own, and rings that differ in who does it. */
#pragma once

#include "choice/features.h"
#include "support.h"

/* io_uring without the operations that only newer kernels have: they are calls on workers. */
static const struct uct_options uct_called = {.ring.features_off = UCI_FEATURE_FILES};
static const struct uct_options uct_small = {
    .ring = {.sq_entries = 8, .cq_entries = 8},
    .max_events = 3,
};

#define UCT_FILES(test)                                                                            \
    UCT(test), UCT_WITH(test, "by calls", &uct_called),                                            \
        UCT_WITH(test, "little by little", &uct_small)

/* A new directory, and a descriptor of it that is closed at tear-down. */
struct uct_place {
    char path[64];
    int fd;
};

struct uct_place uct_make_place(struct uct *t);
void uct_remove_place(const struct uct_place *place); /* and all that is in it */
int uct_make_file(struct uct *t, const struct uct_place *place, const char *name, uint64_t seed,
                  uint32_t bytes); /* of the pattern; closed at tear-down */

/* Opening files for reading hangs in a worker from now on when it is a FIFO's end, on io_uring too:
 * a FIFO whose other end nobody has. */
void uct_call_opens(struct uct *t);
void uct_make_fifo(const struct uct_place *place, const char *name);
int uct_open_other_end(const struct uct_place *place, const char *name); /* once somebody hangs */
