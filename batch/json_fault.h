/* Where and why a text is not a JSON document: the slow second look after simdjson said no. */
#ifndef JAVM_BATCH_JSON_FAULT_H
#define JAVM_BATCH_JSON_FAULT_H

#include "batch/json.h"

#ifdef __cplusplus
extern "C" {
#endif

#define JSON_MAX_DEPTH 64 /* containers inside each other */

/* True: *problem has the first fault. False: the text is a JSON document (of at most that depth,
 * with numbers in range; duplicate keys are not looked for). */
bool json_find_fault(const char *text, size_t len, struct json_problem *problem);

/* The length of the valid UTF-8 sequence at `text`, 1..4, or 0. len > 0. */
size_t json_utf8_length(const char *text, size_t len);

#ifdef __cplusplus
}
#endif
#endif
