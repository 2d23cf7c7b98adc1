/* The parts of a "v2" object that make the state that a host begins with. */
#ifndef JAVM_BATCH_V2_STATE_H
#define JAVM_BATCH_V2_STATE_H

#include "batch/v2_job.h"
#include "batch/v2_read.h"

#define V2_KINDS_MAX 32 /* of FETCH: the host looks through them */

struct v2_reading {
    const struct v2_sources *sources;
    const struct fields *fields;
    struct v2_job *v2;
    struct problem *problem;
};

/* Memory of the job; NULL with the problem at `node`. */
void *v2_take(struct v2_reading *reading, const struct json_node *node, size_t size);
bool v2_no_memory(struct v2_reading *reading, const struct json_node *node);
/* "0x...", "@file" or text. `what` names it in messages. */
bool v2_bytes(struct v2_reading *reading, const struct json_node *node, const char *what,
              struct javm_bytes *bytes);
bool v2_storage(struct v2_reading *reading, const struct json_node *node, const char *what,
                struct javm_v2_map *map);

/* A member of "v2", or of one of its "services", that describes a service. *known: it is one. */
bool v2_service_member(struct v2_reading *reading, const struct json_node *node,
                       struct javm_v2_service *service, bool *known);
/* The member "services" (NULL: none) and the own one: state->services and own. */
bool v2_services(struct v2_reading *reading, const struct json_node *node,
                 const struct javm_v2_service *own);
bool v2_fetch(struct v2_reading *reading, const struct json_node *node);

#endif
