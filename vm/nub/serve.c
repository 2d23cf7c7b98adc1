#include "vm/nub/serve.h"

#include <stdio.h>
#include <string.h>

void nub_answer_progress(struct nub_answer *answer, uint64_t parts)
{
    struct nub_head *head = answer->region->head;
    __atomic_store_n(&head->answer_len, answer->len, __ATOMIC_RELAXED);
    /* Release, partner: nub_cell_wait; the answer up to here becomes visible. */
    __atomic_store_n(&head->progress, parts, __ATOMIC_RELEASE);
}

bool nub_answer_put(struct nub_answer *answer, const void *bytes, size_t len)
{
    if (len > answer->region->out_bytes - answer->len) {
        javm_fail(&answer->err, JAVM_E_LIMIT, JAVM_NOWHERE, "an answer of more than %zu bytes",
                  answer->region->out_bytes);
        nub_answer_fail(answer, JAVM_E_LIMIT);
        return false;
    }
    if (len > 0)
        memcpy(answer->region->out + answer->len, bytes, len);
    answer->len += len;
    return true;
}

void nub_answer_fail(struct nub_answer *answer, enum javm_status status)
{
    answer->error = JAVM_NUB_E_OF(status);
}

static void answer_call(struct nub_region *region, const struct nub_service *service)
{
    struct nub_head *head = region->head;
    struct nub_answer answer = {.region = region, .err = {.where = JAVM_NOWHERE}};
    service->call(service->state, head->fn, region->in, head->request_len, &answer);
    head->error = answer.error;
    if (answer.error != JAVM_NUB_E_NONE) {
        const char *text =
            answer.err.text[0] != '\0' ? answer.err.text : javm_nub_error_text(answer.error);
        head->error_where = answer.err.where;
        snprintf(head->text, sizeof head->text, "%s", text);
    }
    __atomic_store_n(&head->answer_len, answer.len, __ATOMIC_RELAXED);
    /* Release, partner: nub_cell_wait. */
    __atomic_store_n(&head->call, NUB_CALL_DONE, __ATOMIC_RELEASE);
    nub_bell_ring(&head->answer, &head->host_sleeps);
}

static bool step_call(struct nub_region *region, const struct nub_service *service)
{
    /* Acquire, partner: nub_cell_post. */
    if (__atomic_load_n(&region->head->call, __ATOMIC_ACQUIRE) != NUB_CALL_POSTED)
        return false;
    answer_call(region, service);
    return true;
}

/* ---- lanes ------------------------------------------------------------------------------ */

static bool change(struct javm_nub_slot *slot, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&slot->status, &from, to, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static bool step_lane(struct nub_region *region, const struct nub_service *service, uint32_t lane)
{
    struct javm_nub_slot *slot = &region->lanes[lane];
    /* Acquire, partner: nub_cell_submit. */
    if (!change(slot, JAVM_NUB_SLOT_READY, JAVM_NUB_SLOT_RUNNING))
        return false;
    const struct javm_nub_invoke packet = slot->packet;
    service->invoke(service->state, &packet, &slot->result);
    /* Release, partner: nub_cell_take. A STOP that came meanwhile stays. */
    uint32_t running = JAVM_NUB_SLOT_RUNNING;
    (void)__atomic_compare_exchange_n(&slot->status, &running, JAVM_NUB_SLOT_DONE, false,
                                      __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    nub_bell_ring(&region->head->answer, &region->head->host_sleeps);
    return true;
}

bool nub_serve_lane(struct nub_region *region, const struct nub_service *service, uint32_t lane)
{
    struct nub_head *head = region->head;
    if (lane >= region->lane_count ||
        !change(&region->lanes[lane], JAVM_NUB_SLOT_STARTING, JAVM_NUB_SLOT_EMPTY))
        return false;
    nub_bell_ring(&head->answer, &head->host_sleeps);
    for (;;) {
        const uint32_t seen = __atomic_load_n(&head->request, __ATOMIC_ACQUIRE);
        if (step_lane(region, service, lane))
            continue;
        if (__atomic_load_n(&region->lanes[lane].status, __ATOMIC_ACQUIRE) == JAVM_NUB_SLOT_STOP)
            return true;
        nub_bell_wait(&head->request, &head->executor_sleeps, seen, service->spins, 0);
    }
}

void nub_serve(struct nub_region *region, const struct nub_service *service)
{
    struct nub_head *head = region->head;
    for (uint32_t lane = 0; lane < region->lane_count; lane++)
        (void)change(&region->lanes[lane], JAVM_NUB_SLOT_STARTING, JAVM_NUB_SLOT_EMPTY);
    for (;;) {
        const uint32_t seen = __atomic_load_n(&head->request, __ATOMIC_ACQUIRE);
        if (__atomic_load_n(&head->stop, __ATOMIC_ACQUIRE) != 0)
            return;
        bool worked = step_call(region, service);
        for (uint32_t lane = 0; lane < region->lane_count; lane++)
            worked = step_lane(region, service, lane) || worked;
        if (!worked)
            nub_bell_wait(&head->request, &head->executor_sleeps, seen, service->spins, 0);
    }
}
