/* From relinked code and data to an image, and to the text of --map. */
#ifndef JAVM_LOADERS_LINK_IMAGE_H
#define JAVM_LOADERS_LINK_IMAGE_H

#include "loaders/bytes.h"
#include "loaders/relink.h"

/* Where linked images keep things; documented in docs/linking.md. */
#define LINK_STACK_TOP     UINT64_C(0xF0000000)
#define LINK_STACK_DEFAULT (UINT64_C(64) << 10)

/* A bundle of the data and, last, the image, under the root "image". The program is the decoded
 * r->code. */
enum javm_status link_image(const struct relink *r, const struct javm_link_options *options,
                            struct javm_bundle *bundle);
/* The text of --map. */
void link_map(const struct relink *r, const struct javm_program *program,
              const struct javm_image *image, struct writer *out);

#endif
