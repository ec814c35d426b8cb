/* What this kernel, its limits and its policies allow, and which of it libuc would use. */
#ifndef UC_PROBE_H
#define UC_PROBE_H

#include <stdint.h>
#include <uc/export.h>

UC_BEGIN_DECLS

struct uc_probe {
    uint32_t size;         /* sizeof(struct uc_probe), set by the caller */
    int32_t error;         /* 0: io_uring works; else the negative errno that refuses it */
    uint64_t features;     /* UC_FEATURE_*: what works here */
    uint32_t kernel_major; /* of uname(2) */
    uint32_t kernel_minor;
    int32_t sysctl_disabled; /* kernel.io_uring_disabled: 0 to 2; -1: no such knob (before 6.6) */
    int32_t seccomp_mode;    /* 0 none, 1 strict, 2 filter; -1 unknown */
    uint64_t memlock_bytes;  /* soft RLIMIT_MEMLOCK; UINT64_MAX is unlimited */
    uint32_t memlock_exempt; /* 1: CAP_IPC_LOCK, the limit does not apply */
    uint32_t reserved;
    char reason[256]; /* one sentence: what refuses io_uring, and which knob to turn */
};

/**
 * uc_probe - find out what works here
 * @ret_probe: size must be set; the rest is filled in
 *
 * Makes and frees a small ring. Costs a few system calls; the answer is not remembered.
 *
 * Return: 0, also when io_uring is refused (see error and reason), or
 *   -EINVAL  @ret_probe is NULL or its size is wrong
 *
 * Since: 0.1
 */
UC_EXPORT int uc_probe(struct uc_probe *ret_probe);

UC_END_DECLS

#endif
