/* Argument checks of public functions: lenient to callers (-EINVAL), one line each. */
#pragma once

#include <errno.h>

#define CHECK_ARG(condition)                                                                       \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return -EINVAL;                                                                        \
    } while (0)
