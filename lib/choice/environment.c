/* UC_BACKEND and UC_DISABLE: read anew for each ring, since programs may set them for themselves. */
#include "choice/environment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uc/ring.h>

#include "choice/features.h"

/* Of a wrong word, as much as is repeated. */
#define SHOWN 40

static const char *const words[] = {
    [UC_BACKEND_AUTO] = "auto",
    [UC_BACKEND_URING] = "uring",
    [UC_BACKEND_EPOLL] = "epoll",
};

#define WORDS (sizeof(words) / sizeof(words[0]))

const char *uci_backend_word(uint32_t backend)
{
    return backend < WORDS ? words[backend] : NULL;
}

static int read_backend(uint32_t *ret_backend, char *why, size_t bytes)
{
    const char *text = getenv("UC_BACKEND");

    if (!text || !*text)
        return 0;
    for (uint32_t i = 0; i < WORDS; i++) {
        if (strcmp(text, words[i]) != 0)
            continue;
        *ret_backend = i;
        return 0;
    }
    snprintf(why, bytes, "UC_BACKEND is '%.*s' in the environment: known are auto, uring and epoll",
             SHOWN, text);
    return -EINVAL;
}

static int read_features_off(uint64_t *ret_features, char *why, size_t bytes)
{
    const char *text = getenv("UC_DISABLE"), *wrong;
    int length;

    if (!text)
        return 0;
    wrong = uci_features_parse(text, ret_features);
    if (!wrong)
        return 0;
    length = (int)strcspn(wrong, ", ");
    snprintf(why, bytes,
             "UC_DISABLE has '%.*s' in the environment: known are all, multishot, bufring, bundle, "
             "taskrun, and the features that uc-probe lists",
             length < SHOWN ? length : SHOWN, wrong);
    return -EINVAL;
}

int uci_environment_read(struct uci_environment *ret_environment, char *why, size_t bytes)
{
    struct uci_environment found = {0};
    int r = read_backend(&found.backend, why, bytes);

    if (r == 0)
        r = read_features_off(&found.features_off, why, bytes);
    if (r < 0)
        return r;
    found.features_off = uci_features_with_dependants(found.features_off);
    *ret_environment = found;
    return 0;
}
