/*
 * The 64 bits that travel with an operation to the kernel and come back with its completion.
 *
 *    63      56 55                              24 23                     0
 *   +----------+----------------------------------+------------------------+
 *   |   kind   |            generation            |         index          |
 *   |  8 bits  |             32 bits              |        24 bits         |
 *   +----------+----------------------------------+------------------------+
 *
 * kind says which road the completion takes. index is the descriptor itself for operations on
 * attached descriptors and a slot for the rest, so that one array access finds the state: there is
 * no hash table. generation rises whenever a descriptor is attached and whenever an operation is
 * armed again, so that a completion of an earlier life is told from one of this life: 16 bits would
 * wrap in 0.3 s at the rate descriptors can be reused, 32 take five hours on one number that does
 * nothing else.
 *
 * 0 and ~0 are never produced (kind 0 and kind 255 do not exist): liburing and NULL conventions use
 * them.
 */
#ifndef UC_USER_DATA_H
#define UC_USER_DATA_H

#include <stdint.h>
#include <uc/export.h>

UC_BEGIN_DECLS

#define UC_USER_DATA_INDEX_MAX 0xffffffu
#define UC_USER_DATA_KIND_MAX 0xfeu

/**
 * uc_user_data_pack - put the three parts into 64 bits
 * @kind:         1 to UC_USER_DATA_KIND_MAX
 * @generation:   any
 * @index:        0 to UC_USER_DATA_INDEX_MAX
 * @ret_user_data: the packed value
 *
 * Return: 0, or
 *   -EINVAL  a part is out of its range, or @ret_user_data is NULL
 *
 * Since: 0.1
 */
UC_EXPORT int uc_user_data_pack(uint32_t kind, uint32_t generation, uint32_t index,
                                uint64_t *ret_user_data);

/**
 * uc_user_data_kind - the kind that was packed
 * @user_data: a packed value
 *
 * Return: bits 63..56.
 *
 * Since: 0.1
 */
UC_EXPORT uint32_t uc_user_data_kind(uint64_t user_data);

/**
 * uc_user_data_generation - the generation that was packed
 * @user_data: a packed value
 *
 * Return: bits 55..24.
 *
 * Since: 0.1
 */
UC_EXPORT uint32_t uc_user_data_generation(uint64_t user_data);

/**
 * uc_user_data_index - the index that was packed
 * @user_data: a packed value
 *
 * Return: bits 23..0.
 *
 * Since: 0.1
 */
UC_EXPORT uint32_t uc_user_data_index(uint64_t user_data);

UC_END_DECLS

#endif
