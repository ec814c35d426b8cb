/* What uc-probe finds out, before it is printed in one form or the other. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uc.h>

#define FEATURES_MAX 64

/* When libuc uses a feature. */
enum use {
    USE_ALWAYS,   /* wherever the kernel has it */
    USE_FALLBACK, /* where something better is missing */
    USE_ON_REQUEST,
};

struct feature {
    const char *name;
    const char *since; /* the first kernel that has it; "" if this program does not know */
    enum use use;
    bool works;
};

enum verdict {
    VERDICT_FULL = 0, /* these are exit statuses */
    VERDICT_DEGRADED = 1,
    VERDICT_REFUSED = 2,
};

struct survey {
    struct uc_probe probe;
    struct feature features[FEATURES_MAX];
    uint32_t feature_count;
    int ring_error; /* of a ring with the defaults */
    struct uc_ring_info ring;
    enum verdict verdict;
};

/* Makes a few rings, and frees them. 0, or a negative errno that no kernel should give. */
int survey_take(struct survey *survey);

void print_text(const struct survey *survey);
void print_json(const struct survey *survey);
