#include <errno.h>
#include <stdlib.h>
#include <uc/user_data.h>

#include "slot/slot.h"

#define BLOCK_SLOTS 256u
#define BLOCKS_MAX ((UC_USER_DATA_INDEX_MAX + 1) / BLOCK_SLOTS)
#define NONE UINT32_MAX

void uci_slot_table_init(struct uci_slot_table *table)
{
    *table = (struct uci_slot_table){.first_free = NONE};
}

void uci_slot_table_finish(struct uci_slot_table *table)
{
    struct uci_slot *slot;

    for (uint32_t index = 0; (slot = uci_slot_at(table, index)); index++)
        free(slot->memory);
    for (uint32_t block = 0; block < table->block_count; block++)
        free(table->blocks[block]);
    free(table->blocks);
    uci_slot_table_init(table);
}

/* The list of blocks may move, the blocks stay. */
static int add_block(struct uci_slot_table *table)
{
    uint32_t first = table->block_count * BLOCK_SLOTS;
    struct uci_slot **blocks, *block;

    if (table->block_count == BLOCKS_MAX)
        return -ENOMEM;
    blocks = reallocarray(table->blocks, table->block_count + 1, sizeof *blocks);
    if (!blocks)
        return -ENOMEM;
    table->blocks = blocks;
    block = calloc(BLOCK_SLOTS, sizeof *block);
    if (!block)
        return -ENOMEM;
    blocks[table->block_count++] = block;
    for (uint32_t i = BLOCK_SLOTS; i-- > 0;) {
        block[i].index = first + i;
        block[i].next_free = table->first_free;
        table->first_free = first + i;
    }
    return 0;
}

int uci_slot_take(struct uci_slot_table *table, uint32_t kind, uint64_t cookie,
                  struct uci_slot **ret_slot)
{
    struct uci_slot *slot;

    if (table->first_free == NONE) {
        int r = add_block(table);

        if (r < 0)
            return r;
    }
    slot = uci_slot_at(table, table->first_free);
    table->first_free = slot->next_free;
    table->used++;
    slot->generation++;
    slot->kind = kind;
    slot->cookie = cookie;
    slot->deadline = slot->later = 0;
    slot->in_vain = 0;
    slot->is_cancelled = slot->is_late = slot->cancel_owed = false;
    *ret_slot = slot;
    return 0;
}

void uci_slot_release(struct uci_slot_table *table, struct uci_slot *slot)
{
    free(slot->memory);
    slot->memory = NULL;
    slot->kind = 0;
    slot->next_free = table->first_free;
    table->first_free = slot->index;
    table->used--;
}

struct uci_slot *uci_slot_find(struct uci_slot_table *table, uint32_t kind, uint32_t generation,
                               uint32_t index)
{
    struct uci_slot *slot = uci_slot_at(table, index);

    if (!slot || !kind || slot->kind != kind || slot->generation != generation)
        return NULL;
    return slot;
}

struct uci_slot *uci_slot_at(struct uci_slot_table *table, uint32_t index)
{
    if (index / BLOCK_SLOTS >= table->block_count)
        return NULL;
    return &table->blocks[index / BLOCK_SLOTS][index % BLOCK_SLOTS];
}
