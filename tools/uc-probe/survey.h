/* What uc-probe finds out, before it is printed in one form or the other. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uc.h>

#define FEATURES_MAX 64

struct feature {
    struct uc_feature_info is;
    bool works; /* in this kernel */
    bool off;   /* the environment says not to use it */
};

struct survey {
    struct uc_probe probe;
    struct feature features[FEATURES_MAX];
    uint32_t feature_count;
    int ring_error; /* of a ring with the defaults */
    struct uc_ring_info ring;
};

/* Makes a few rings, and frees them. 0, or a negative errno that no kernel should give. */
int survey_take(struct survey *survey);

const char *backend_word(uint32_t backend); /* as UC_BACKEND has it */

void print_text(const struct survey *survey, bool colours);
void print_json(const struct survey *survey);
