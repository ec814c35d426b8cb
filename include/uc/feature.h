/* Kernel features that libuc uses where they are, and does without where they are not. */
#ifndef UC_FEATURE_H
#define UC_FEATURE_H

#include <stdint.h>
#include <uc/export.h>

UC_BEGIN_DECLS

/* Bits of uc_probe.features, uc_ring_info.features and uc_ring_options.features_off, each with
 * the kernel that brought it. */
enum uc_feature {
    UC_FEATURE_SINGLE_ISSUER = 1 << 0,    /* one thread submits; 6.0 */
    UC_FEATURE_DEFER_TASKRUN = 1 << 1,    /* completions are made when asked for; 6.1 */
    UC_FEATURE_COOP_TASKRUN = 1 << 2,     /* no interrupt for a completion; 5.19 */
    UC_FEATURE_SUBMIT_ALL = 1 << 3,       /* one bad submission does not stop the batch; 5.18 */
    UC_FEATURE_BUFFER_RING = 1 << 4,      /* the kernel picks a buffer when data is there; 5.19 */
    UC_FEATURE_MULTISHOT_ACCEPT = 1 << 5, /* one submission accepts until told to stop; 5.19 */
    UC_FEATURE_MULTISHOT_RECV = 1 << 6,   /* one submission receives until told to stop; 6.0 */
    UC_FEATURE_RECV_BUNDLE = 1 << 7,      /* one completion over several buffers; 6.15 */
    UC_FEATURE_NO_IOWAIT = 1 << 8,        /* idling is not shown as waiting for a disk; 6.15 */
    UC_FEATURE_SQPOLL = 1 << 9,           /* a kernel thread submits */
    UC_FEATURE_REGISTERED_BUFFERS = 1 << 10, /* the pool is registered as fixed buffers */
};

/**
 * uc_feature_name - the name of a feature bit
 * @feature: one UC_FEATURE_* bit
 *
 * Return: a name such as "multishot-recv", or NULL if no such bit exists; bits are given out from 0
 * without a gap.
 *
 * Since: 0.1
 */
UC_EXPORT const char *uc_feature_name(uint64_t feature);

UC_END_DECLS

#endif
