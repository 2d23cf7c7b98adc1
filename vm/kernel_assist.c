#include "vm/kernel_assist.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIRST_ROOM 16u
#define KEPT_ROOM  1024u /* a larger table is freed at the next reset */

/* ---- numbers by key --------------------------------------------------------------------- */

static uint32_t home_of(const struct number_table *table, const struct javm_key *key)
{
    uint64_t h = (javm_key_pack(key) ^ table->seed) * UINT64_C(0x9E3779B97F4A7C15);
    h ^= h >> 29;
    h = (h + key->len) * UINT64_C(0xBF58476D1CE4E5B9);
    return (uint32_t)(h >> 32) & (table->room - 1);
}

/* The place of a key, or the free one where it belongs; room is not 0. */
static struct number *find(const struct number_table *table, const struct javm_key *key)
{
    for (uint32_t at = home_of(table, key);; at = (at + 1) & (table->room - 1)) {
        struct number *n = &table->places[at];
        if (n->key.len == 0 || memcmp(&n->key, key, sizeof *key) == 0)
            return n;
    }
}

static uint64_t numbers_get(const struct number_table *table, const struct javm_key *key)
{
    return table->room != 0 ? find(table, key)->value : 0; /* of a free place: 0 */
}

static bool grow(struct number_table *table)
{
    struct number_table larger = {.room = table->room != 0 ? table->room * 2 : FIRST_ROOM,
                                  .used = table->used,
                                  .seed = table->seed};
    if (larger.room > UINT32_MAX / 4)
        return false;
    larger.places = calloc(larger.room, sizeof *larger.places);
    if (larger.places == NULL)
        return false;
    for (uint32_t i = 0; i < table->room; i++)
        if (table->places[i].key.len != 0)
            *find(&larger, &table->places[i].key) = table->places[i];
    free(table->places);
    *table = larger;
    return true;
}

static enum javm_status numbers_set(struct number_table *table, const struct javm_key *key,
                                    uint64_t value)
{
    struct number *n = table->room != 0 ? find(table, key) : NULL;
    if (n == NULL || n->key.len == 0) {
        if (n == NULL || table->used >= table->room / 2) {
            if (!grow(table))
                return JAVM_E_NOMEM;
            n = find(table, key);
        }
        n->key = *key;
        table->used++;
    }
    n->value = value;
    return JAVM_OK;
}

static void numbers_reset(struct number_table *table)
{
    if (table->used == 0)
        return;
    table->used = 0;
    if (table->room <= KEPT_ROOM) {
        memset(table->places, 0, table->room * sizeof *table->places);
        return;
    }
    free(table->places);
    table->places = NULL;
    table->room = 0;
}

/* ---- life ------------------------------------------------------------------------------- */

void assist_init(struct assist *assist, const struct javm_assist *host)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    *assist = (struct assist){0};
    if (host != NULL)
        assist->host = *host;
    assist->gas.seed = assist->quota.seed = (uint64_t)now.tv_nsec ^ (uintptr_t)assist;
}

static void forget_caps(struct assist *assist)
{
    for (uint32_t i = 0; i < assist->file_count; i++)
        javm_cap_release(assist->files[i]);
    for (uint32_t i = 0; i < assist->recorded_count; i++)
        javm_cap_release(assist->recorded[i].data);
    assist->file_count = assist->recorded_count = 0;
}

void assist_forget(struct assist *assist)
{
    assist->used = false;
    numbers_reset(&assist->gas);
    numbers_reset(&assist->quota);
    forget_caps(assist);
    if (assist->host.reset != NULL)
        assist->host.reset(assist->host.context);
}

void assist_free(struct assist *assist)
{
    forget_caps(assist);
    free(assist->gas.places);
    free(assist->quota.places);
    free(assist->files);
    free(assist->recorded);
}

/* ---- meters ----------------------------------------------------------------------------- */

enum javm_status assist_get(struct assist *assist, enum meter meter, const struct javm_key *key,
                            uint64_t *value)
{
    const struct javm_assist *host = &assist->host;
    if (meter == METER_GAS && host->gas_get != NULL)
        return host->gas_get(host->context, key, value);
    if (meter == METER_QUOTA && host->quota_get != NULL)
        return host->quota_get(host->context, key, value);
    *value = numbers_get(meter == METER_GAS ? &assist->gas : &assist->quota, key);
    return JAVM_OK;
}

enum javm_status assist_set(struct assist *assist, enum meter meter, const struct javm_key *key,
                            uint64_t value)
{
    const struct javm_assist *host = &assist->host;
    if (meter == METER_GAS && host->gas_set != NULL)
        return host->gas_set(host->context, key, value);
    if (meter == METER_QUOTA && host->quota_set != NULL)
        return host->quota_set(host->context, key, value);
    assist->used = true;
    return numbers_set(meter == METER_GAS ? &assist->gas : &assist->quota, key, value);
}

uint32_t assist_count(const struct assist *assist, enum meter meter)
{
    return meter == METER_GAS ? assist->gas.used : assist->quota.used;
}

void assist_each(const struct assist *assist, enum meter meter,
                 void (*visit)(void *context, const struct javm_key *key, uint64_t value),
                 void *context)
{
    const struct number_table *table = meter == METER_GAS ? &assist->gas : &assist->quota;
    for (uint32_t i = 0; i < table->room; i++)
        if (table->places[i].key.len != 0)
            visit(context, &table->places[i].key, table->places[i].value);
}

/* ---- files and attestations ------------------------------------------------------------- */

static bool room_for_one(void **array, uint32_t count, uint32_t *room, size_t size)
{
    if (count < *room)
        return true;
    const uint32_t more = *room != 0 ? *room * 2 : FIRST_ROOM;
    void *bigger = *room <= UINT32_MAX / 4 ? realloc(*array, more * size) : NULL;
    if (bigger == NULL)
        return false;
    *array = bigger;
    *room = more;
    return true;
}

enum javm_status assist_keep_file(struct assist *assist, const struct javm_cap *data)
{
    void *files = (void *)assist->files;
    if (!room_for_one(&files, assist->file_count, &assist->file_room, sizeof *assist->files))
        return JAVM_E_NOMEM;
    assist->files = files;
    assist->used = true;
    assist->files[assist->file_count++] = javm_cap_retain(data);
    return JAVM_OK;
}

enum javm_status assist_file_save(struct assist *assist, const struct javm_cap *data,
                                  struct javm_key *name)
{
    const struct javm_assist *host = &assist->host;
    if (host->file_save != NULL)
        return host->file_save(host->context, data, name);
    const enum javm_status status = assist_keep_file(assist, data);
    if (status == JAVM_OK)
        *name = javm_key_from_u64(assist->file_count);
    return status;
}

enum javm_status assist_file_open(struct assist *assist, const struct javm_key *name,
                                  struct javm_cap **data)
{
    const struct javm_assist *host = &assist->host;
    *data = NULL;
    if (host->file_open != NULL)
        return host->file_open(host->context, name, data);
    const uint64_t number = javm_key_pack(name);
    const struct javm_key canonical = javm_key_from_u64(number);
    if (number - 1 < assist->file_count && javm_key_compare(&canonical, name) == 0)
        *data = javm_cap_retain(assist->files[number - 1]);
    return JAVM_OK;
}

enum javm_status assist_keep_attestation(struct assist *assist, const struct javm_key *key,
                                         const struct javm_cap *data)
{
    void *recorded = assist->recorded;
    if (!room_for_one(&recorded, assist->recorded_count, &assist->recorded_room,
                      sizeof *assist->recorded))
        return JAVM_E_NOMEM;
    assist->recorded = recorded;
    assist->used = true;
    assist->recorded[assist->recorded_count++] =
        (struct recorded){.key = *key, .data = javm_cap_retain(data)};
    return JAVM_OK;
}

enum javm_status assist_attest(struct assist *assist, const struct javm_key *key,
                               const struct javm_cap *data, uint64_t *answer)
{
    const struct javm_assist *host = &assist->host;
    if (host->attest != NULL)
        return host->attest(host->context, key, data, answer);
    *answer = 0;
    return assist_keep_attestation(assist, key, data);
}
