/* The same tests with kernel features switched off: what libuc does without them must look the
 * same. */
#pragma once

#include "support.h"

static const struct uct_options no_multishot_recv = {
    .ring.features_off = UC_FEATURE_MULTISHOT_RECV,
};
static const struct uct_options no_buffer_ring = {.ring.features_off = UC_FEATURE_BUFFER_RING};
static const struct uct_options no_bundle = {.ring.features_off = UC_FEATURE_RECV_BUNDLE};
static const struct uct_options no_multishot_accept = {
    .ring.features_off = UC_FEATURE_MULTISHOT_ACCEPT,
};
static const struct uct_options no_defer = {.ring.features_off = UC_FEATURE_DEFER_TASKRUN};
static const struct uct_options nothing_new = {.ring.features_off = UINT64_MAX};

#define UCT_EVERYWHERE(test)                                                                       \
    UCT(test), UCT_WITH(test, "without multishot receive", &no_multishot_recv),                    \
        UCT_WITH(test, "without a buffer ring", &no_buffer_ring),                                  \
        UCT_WITH(test, "without bundles", &no_bundle),                                             \
        UCT_WITH(test, "without multishot accept", &no_multishot_accept),                          \
        UCT_WITH(test, "without deferred task work", &no_defer),                                   \
        UCT_WITH(test, "with nothing new", &nothing_new)
