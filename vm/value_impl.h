/* Between value.c and node.c: giving up what nobody holds any more, without recursion. */
#ifndef JAVM_VM_VALUE_IMPL_H
#define JAVM_VM_VALUE_IMPL_H

#include "vm/value.h"

/* Objects that are to be freed, linked by `next`. */
struct garbage {
    struct object *objects;
};

void value_leave(struct value *value, struct garbage *garbage);
void object_leave(struct object *object, struct garbage *garbage);
/* A node's parts, with what is in their slots. NULL is allowed. */
void parts_leave(struct node_part *part, struct garbage *garbage);
void object_forget_cap(struct object *object);

#endif
