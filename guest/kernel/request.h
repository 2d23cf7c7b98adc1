/* What authority.c and its clients say to each other in slot[0]. A grant comes as a cap in its
 * place, and the window shows zeros. */
#ifndef REQUEST_H
#define REQUEST_H

#include <stdint.h>

enum { ASK_GAS, ASK_PAGES, ASK_KEYS, ASKABLE };

struct request {
    uint64_t what, amount;
    uint64_t refused; /* 1: more than is left */
};

#endif
