#include <uc/user_data.h>

#include "base/check.h"
#include "user_data/kind.h"

int uc_user_data_pack(uint32_t kind, uint32_t generation, uint32_t index, uint64_t *ret_user_data)
{
    CHECK_ARG(kind >= 1 && kind <= UC_USER_DATA_KIND_MAX);
    CHECK_ARG(index <= UC_USER_DATA_INDEX_MAX);
    CHECK_ARG(ret_user_data);
    *ret_user_data = uci_user_data(kind, generation, index);
    return 0;
}

uint32_t uc_user_data_kind(uint64_t user_data)
{
    return uci_user_data_kind(user_data);
}

uint32_t uc_user_data_generation(uint64_t user_data)
{
    return uci_user_data_generation(user_data);
}

uint32_t uc_user_data_index(uint64_t user_data)
{
    return uci_user_data_index(user_data);
}
