/* What petitioner.c leaves in slot[0] for whoever stands between it and the kernel. */
#ifndef ORDER_H
#define ORDER_H

#include <stdint.h>

enum { ORDER_SERVED = 0, ORDER_GRANTED, ORDER_DENIED }; /* SERVED: nobody stood there */

struct order {
    uint64_t key, amount;
    uint64_t answer;
    uint64_t before; /* GRANTED: what the meter had */
};

#endif
