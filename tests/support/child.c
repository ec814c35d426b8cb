#include <grp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define NOBODY 65534
#define USERS 100000 /* one for each process: what a user had locked comes back late */

int uct_in_child(uct_body *body, void *argument)
{
    int status = -1, line;
    pid_t child = fork();

    if (child == 0) {
        alarm((unsigned)(2 * uct_deadline_ms() / 1000));
        line = body(argument);
        if (line)
            fprintf(stderr, "child: line %d\n", line);
        _exit(line ? 1 : 0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    if (WIFSIGNALED(status))
        fprintf(stderr, "child: signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool uct_can_limit_rings(void)
{
    struct uc_probe probe = {.size = sizeof(probe)};

    return geteuid() == 0 && uc_probe(&probe) == 0 &&
           (probe.kernel_major > 6 || (probe.kernel_major == 6 && probe.kernel_minor >= 14));
}

bool uct_become_nobody(uint64_t memlock_bytes)
{
    struct rlimit limit = {memlock_bytes, memlock_bytes};

    return setrlimit(RLIMIT_MEMLOCK, &limit) == 0 && setgroups(0, NULL) == 0 &&
           setgid(NOBODY) == 0 && setuid(USERS + (uid_t)getpid()) == 0;
}
