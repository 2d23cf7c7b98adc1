/* Every allocation in a run of every guest of guest/kernel fails once: the call says so, nothing is
 * left behind, and the Vm goes on. tests/vm/test_kernel_nomem.c does it with single operations;
 * here callees are deep, yields are caught, meters pay and continuations are kept.
 *
 * Would catch: a failure that a guest sees as something else; a frame, a count or a meter that is
 * lost on one of the many ways out. Leaks show in a sanitizer build. */
#include "tests/guest/kernel_samples.h"
#include "tests/vm/refusing_malloc.h"

struct outcome {
    uint64_t value, gas;
    struct javm_hash post;
};

static struct outcome halted(const struct sample *sample, uint64_t n)
{
    struct outcome o = {.value = result.value, .gas = result.gas_used};
    cr_assert_eq(result.end, JAVM_END_HALT, "%s, %llu: %s", sample->name, (unsigned long long)n,
                 javm_fault_name(result.fault));
    cr_assert_eq(javm_cap_hash(result.post_instance, &o.post), JAVM_OK);
    return o;
}

static void expect_same(const struct sample *sample, uint64_t n, const struct outcome *want)
{
    const struct outcome o = halted(sample, n);
    cr_assert(o.value == want->value && o.gas == want->gas && javm_hash_equal(&o.post, &want->post),
              "%s, %llu: value %llu, gas %llu", sample->name, (unsigned long long)n,
              (unsigned long long)o.value, (unsigned long long)o.gas);
}

static void expect_no_entries(const struct sample *sample, uint64_t n)
{
    struct javm_directory_stats stats;
    javm_directory_sweep(w.dir);
    javm_directory_stats(w.dir, &stats);
    cr_assert_eq(stats.instances, 0, "%s, %llu", sample->name, (unsigned long long)n);
}

/* Even numbers with a Vm that has forgotten everything, odd ones with one that has it all. */
static void refuse_everywhere(const struct sample *sample)
{
    const struct javm_hash instance = sample->make();
    struct javm_call call = usual_call(&instance);
    cr_assert_eq(run_sample(sample, &call), JAVM_OK, "%s: %s", sample->name, err.text);
    const struct outcome want = halted(sample, 0);
    bool more[2] = {true, true};
    unsigned failures = 0;
    for (uint64_t n = 2; more[0] || more[1]; n++) {
        if (!more[n % 2])
            continue;
        if (n % 2 == 0)
            javm_vm_flush(w.vm);
        javm_call_result_clear(&result);
        refused = false;
        countdown = n / 2;
        const enum javm_status status = run_sample(sample, &call);
        countdown = 0;
        more[n % 2] = refused;
        if (status == JAVM_OK) { /* none, or one that it can do without */
            expect_same(sample, n, &want);
            continue;
        }
        failures++;
        cr_assert_eq(status, JAVM_E_NOMEM, "%s, %llu: %s", sample->name, (unsigned long long)n,
                     err.text);
        expect_no_entries(sample, n);
        cr_assert_eq(run_sample(sample, &call), JAVM_OK, "%s: %s", sample->name, err.text);
        expect_same(sample, n, &want);
    }
    cr_expect_gt(failures, 5, "%s", sample->name);
}

Test(kernel_samples_nomem, every_allocation_once)
{
    EACH_SAMPLE(refuse_everywhere);
}
