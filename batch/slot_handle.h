/* Kernel handles in the "slots" of an instance definition. */
#ifndef JAVM_BATCH_SLOT_HANDLE_H
#define JAVM_BATCH_SLOT_HANDLE_H

#include "batch/fields.h"
#include "javm/cap.h"

/* Is it {"sender": key}, {"receiver": [key, ...]}, {"gas": key} or {"quota": key}? */
bool slot_is_handle(const struct json_node *content);
/* The handle, with a reference; keys are "0x" and 1 to 8 bytes. NULL: *problem. */
struct javm_cap *slot_handle(const struct fields *fields, const struct json_node *content,
                             struct problem *problem);

#endif
