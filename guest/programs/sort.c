/* Quicksort with insertion sort for short ranges. a0: how many numbers (<= 65536), a1: seed.
 * Returns a digest of the sorted array, or a number with bit 63 clear and 0 in the rest when the
 * order is wrong. */
#include "javm_guest.h"

#define MAX 65536u
static uint64_t values[MAX];

static void insertion(uint64_t *v, uint64_t n)
{
    for (uint64_t i = 1; i < n; i++) {
        const uint64_t x = v[i];
        uint64_t k = i;
        for (; k > 0 && v[k - 1] > x; k--)
            v[k] = v[k - 1];
        v[k] = x;
    }
}

static void sort(uint64_t *v, uint64_t n)
{
    while (n > 16) {
        const uint64_t a = v[0], b = v[n / 2], c = v[n - 1];
        const uint64_t low = a < b ? a : b, high = a < b ? b : a;
        const uint64_t pivot = c < low ? low : c > high ? high : c; /* median of three */
        uint64_t i = 0, k = n - 1;
        for (;;) {
            while (v[i] < pivot)
                i++;
            while (v[k] > pivot)
                k--;
            if (i >= k)
                break;
            const uint64_t t = v[i];
            v[i++] = v[k];
            v[k--] = t;
        }
        /* The shorter half recurses: depth is logarithmic. */
        const uint64_t left = k + 1, right = n - left;
        if (left < right) {
            sort(v, left);
            v += left;
            n = right;
        } else {
            sort(v + left, right);
            n = left;
        }
    }
    insertion(v, n);
}

uint64_t guest_main(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    (void)a2, (void)a3;
    const uint64_t n = a0 > MAX ? MAX : a0;
    uint64_t x = a1 | 1;
    for (uint64_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        values[i] = x;
    }
    sort(values, n);
    uint64_t digest = n;
    for (uint64_t i = 0; i < n; i++) {
        if (i > 0 && values[i - 1] > values[i])
            return 0;
        digest = (digest ^ values[i]) * UINT64_C(0x100000001b3);
    }
    return digest | UINT64_C(1) << 63;
}
