/* Between annex.c and the directory, which looks into the annex that a thread has open. */
#ifndef JAVM_CACHE_ANNEX_H
#define JAVM_CACHE_ANNEX_H

#include "javm/directory.h"

/* Borrowed, or NULL. */
struct javm_cap *annex_find(const struct javm_annex *annex, const struct javm_hash *hash);
/* It is not there yet. Retains the cap. False: out of memory, nothing changed. */
bool annex_insert(struct javm_annex *annex, const struct javm_cap *cap,
                  const struct javm_hash *hash);

#endif
