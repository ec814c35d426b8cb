/* Features by name: what they are called one by one and in groups. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* In features_off: map the rings as before Linux 6.5. No public bit, because a ring is used alike. */
#define UCI_FEATURE_OWN_MEMORY (UINT64_C(1) << 63)

/* In features_off: on io_uring too, what changes names and lengths of files goes to workers. */
#define UCI_FEATURE_FILES (UINT64_C(1) << 62)

/* Those of features_off that are no features of the kernel's. */
#define UCI_FEATURES_PRIVATE (UCI_FEATURE_OWN_MEMORY | UCI_FEATURE_FILES)

/* Features that every ring is meant to have. */
uint64_t uci_features_wanted(void);

/* With those that cannot be had without one of @features. */
uint64_t uci_features_with_dependants(uint64_t features);

/* Read a list with commas of names and groups. Return: NULL, or where in @list the first word
 * stands that is no name. */
const char *uci_features_parse(const char *list, uint64_t *ret_features);

/* Write the names of @features into @text, with spaces between. */
void uci_features_write(uint64_t features, char *text, size_t bytes);
