/* A fault is as if nothing had been: every guest of guest/kernel is run again and again, each time
 * with another of its kernel operations made to fault, in whatever frame that is, and each time
 * with gas that ends at another place. Whatever the run then comes to, the directory has the same
 * caps, the instance's tree is byte for byte the same, nothing is counted that was not before, no
 * live entry is left, and the next invocation gives the first one's value, gas and instance.
 *
 * Would catch: a frame that is dropped without what it holds; a change of a value that is shared
 * with what is published or cached; an operation that has done half of its work when it refuses; a
 * reservation or a meter that outlives its invocation. */
#include "caps/cap_impl.h" /* counts of caps */
#include "tests/guest/kernel_samples.h"
#include "vm/kernel.h" /* struct kernel_probe */

#define OPERATIONS_MAX 4096u

static const struct sample *sample;
static struct javm_hash instance;

/* ---- what there is ----------------------------------------------------------------------- */

struct snapshot {
    struct javm_directory_stats stats;
    uint8_t *tree; /* all that the instance names, as a file */
    size_t len;
    uint64_t counts; /* of the references to each of them; only without the Vm's own */
};

static struct snapshot snapshot(void)
{
    static const char *const name = "it";
    struct snapshot s = {.counts = 0};
    struct javm_bundle bundle;
    javm_directory_sweep(w.dir);
    javm_directory_stats(w.dir, &s.stats);
    REQUIRE(javm_bundle_collect(w.dir, &instance, &name, 1, &bundle, NULL) == JAVM_OK);
    REQUIRE(javm_bundle_encode(&bundle, &s.tree, &s.len, NULL) == JAVM_OK);
    for (uint32_t i = 0; i < bundle.cap_count; i++)
        s.counts = s.counts * 31 + bundle.caps[i]->count;
    javm_bundle_clear(&bundle);
    return s;
}

static void expect_as_before(const struct snapshot *before, bool counts, uint64_t n)
{
    struct snapshot now = snapshot();
    cr_assert_eq(now.stats.instances, 0, "%s, %llu", sample->name, (unsigned long long)n);
    cr_assert_eq(now.stats.blobs, before->stats.blobs, "%s, %llu: %llu caps, not %llu",
                 sample->name, (unsigned long long)n, (unsigned long long)now.stats.blobs,
                 (unsigned long long)before->stats.blobs);
    cr_assert_eq(now.stats.blob_bytes, before->stats.blob_bytes);
    cr_assert(now.len == before->len && memcmp(now.tree, before->tree, now.len) == 0, "%s, %llu",
              sample->name, (unsigned long long)n);
    cr_assert(!counts || now.counts == before->counts, "%s, %llu", sample->name,
              (unsigned long long)n);
    free(now.tree);
}

/* ---- a run, disturbed or not --------------------------------------------------------------- */

struct outcome {
    enum javm_end end;
    enum javm_fault fault;
    uint64_t value, gas;
    struct javm_hash post, slot0; /* zeros: none */
};

static struct javm_hash hash_of(const struct javm_cap *cap)
{
    struct javm_hash hash = {{0}};
    if (cap != NULL)
        REQUIRE(javm_cap_hash(cap, &hash) == JAVM_OK);
    return hash;
}

static struct outcome run(uint64_t gas)
{
    struct javm_call call = usual_call(&instance);
    call.post_unpublished = true; /* an end that is no fault leaves nothing either */
    call.gas = gas;
    if (sample->options == &hosted)
        host_gas = gas;
    const enum javm_status status = run_sample(sample, &call);
    cr_assert_eq(status, JAVM_OK, "%s: %s", sample->name, err.text);
    return (struct outcome){.end = result.end,
                            .fault = result.fault,
                            .value = result.value,
                            .gas = result.gas_used,
                            .post = hash_of(result.post_instance),
                            .slot0 = hash_of(result.slot0)};
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    return a->end == b->end && a->fault == b->fault && a->value == b->value && a->gas == b->gas &&
           javm_hash_equal(&a->post, &b->post) && javm_hash_equal(&a->slot0, &b->slot0);
}

/* ---- disturbing ---------------------------------------------------------------------------- */

static uint32_t operations, fault_at; /* counted from 1; 0: none */
static uint64_t left[OPERATIONS_MAX]; /* of the gas that the run got, behind each operation's 100 */

static bool before_operation(void *context, struct javm_vm *vm, uint32_t op)
{
    (void)context;
    (void)op;
    REQUIRE(operations < OPERATIONS_MAX);
    const bool paid_from_it = sample->options == &hosted || vm->payer == PAYER_BUDGET;
    left[operations++] = paid_from_it ? running(vm)->exec.gas : vm->budget;
    return operations == fault_at;
}
static const struct kernel_probe probe = {.before = before_operation};

struct wanted {
    struct snapshot snapshot;
    struct outcome outcome;
};

static void disturb(const struct wanted *want, uint64_t gas, uint32_t fault, uint64_t n)
{
    const bool cold = n % 2 == 0;
    operations = 0;
    fault_at = fault;
    const struct outcome disturbed = run(gas);
    cr_assert(operations >= fault, "%s, %u", sample->name, fault);
    cr_assert(!same(&disturbed, &want->outcome), "%s, %u of %llu", sample->name, fault,
              (unsigned long long)gas);
    javm_call_result_clear(&result);
    expect_as_before(&want->snapshot, false, n);
    fault_at = 0;
    const struct outcome again = run(PLENTY);
    cr_assert(same(&again, &want->outcome), "%s, %llu: end %d, %s, value %llu, gas %llu",
              sample->name, (unsigned long long)n, (int)again.end, javm_fault_name(again.fault),
              (unsigned long long)again.value, (unsigned long long)again.gas);
    javm_call_result_clear(&result);
    if (cold) {
        javm_vm_flush(w.vm);
        host_clear();
        expect_as_before(&want->snapshot, true, n);
    }
}

static void open_sample(const struct sample *which, struct wanted *want)
{
    sample = which;
    host_refill = 0;
    instance = sample->make();
    javm_call_result_clear(&result);
    javm_vm_flush(w.vm);
    want->snapshot = snapshot();
    w.vm->probe = &probe;
    operations = fault_at = 0;
    want->outcome = run(PLENTY);
    cr_assert_eq(want->outcome.end, JAVM_END_HALT, "%s: %s", sample->name,
                 javm_fault_name(want->outcome.fault));
    javm_call_result_clear(&result);
    javm_vm_flush(w.vm);
    host_clear();
    expect_as_before(&want->snapshot, false, 0);
    free(want->snapshot.tree);
    want->snapshot = snapshot(); /* the recompiler counts the images that it has compiled */
}

static void fault_everywhere(const struct sample *which)
{
    struct wanted want;
    open_sample(which, &want);
    const uint32_t count = operations;
    for (uint32_t k = 1; k <= count; k++)
        for (uint64_t warm = 0; warm < 2; warm++)
            disturb(&want, PLENTY, k, 2 * k + warm);
    free(want.snapshot.tree);
}

Test(kernel_atomic, a_fault_at_every_operation)
{
    EACH_SAMPLE(fault_everywhere);
}

/* An operation that cannot be paid, or the block behind it; and so many places in between. */
static void run_out_everywhere(const struct sample *which)
{
    enum { STEPS = 61 };
    static uint64_t spent[OPERATIONS_MAX];
    struct wanted want;
    open_sample(which, &want);
    const uint32_t count = operations;
    const uint64_t all = PLENTY - left[count - 1];
    uint64_t n = 0;
    for (uint32_t k = 0; k < count; k++)
        spent[k] = PLENTY - left[k];
    for (uint32_t k = 0; k < count; k++)
        for (uint64_t more = 0; more < 2 && spent[k] + more <= all; more++)
            disturb(&want, spent[k] + more - 1, 0, n++);
    for (uint64_t step = 0; step < STEPS; step++)
        disturb(&want, all * step / STEPS, 0, n++);
    free(want.snapshot.tree);
}

Test(kernel_atomic, gas_that_ends_everywhere)
{
    EACH_SAMPLE(run_out_everywhere);
}
