#include <uc/version.h>

#define TEXT_OF(macro) TEXT(macro)
#define TEXT(token) #token

const char *uc_version(void)
{
    return TEXT_OF(UC_VERSION_MAJOR) "." TEXT_OF(UC_VERSION_MINOR) "." TEXT_OF(UC_VERSION_PATCH);
}

uint32_t uc_abi_version(void)
{
    return UC_ABI_VERSION;
}
