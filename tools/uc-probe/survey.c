/* Asking libuc: uc_probe() tells what works here, a ring with the defaults what is made of it. */
#include "survey.h"

#include <stddef.h>

static void take_features(struct survey *survey)
{
    for (uint32_t i = 0; i < FEATURES_MAX; i++) {
        struct feature *feature = &survey->features[i];

        feature->is.size = sizeof(feature->is);
        if (uc_feature_describe(UINT64_C(1) << i, &feature->is) < 0)
            return;
        feature->works = survey->probe.features >> i & 1;
        feature->off = survey->probe.features_off >> i & 1;
        survey->feature_count++;
    }
}

const char *backend_word(uint32_t backend)
{
    switch (backend) {
    case UC_BACKEND_URING:
        return "uring";
    case UC_BACKEND_EPOLL:
        return "epoll";
    default:
        return "none";
    }
}

int survey_take(struct survey *survey)
{
    uc_ring *ring;
    int r;

    *survey =
        (struct survey){.probe.size = sizeof(survey->probe), .ring.size = sizeof(survey->ring)};
    r = uc_probe(&survey->probe);
    if (r < 0)
        return r;
    survey->ring_error = uc_ring_new(NULL, &ring);
    if (survey->ring_error == 0) {
        r = uc_ring_get_info(ring, &survey->ring);
        uc_ring_free(ring);
    }
    take_features(survey);
    return r;
}
