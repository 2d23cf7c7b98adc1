/* Files to caps and back: bundles (.jbundle), image files (.jimg), linked ELF (spec: guest
 * toolchain).
 *
 * A bundle is a set of caps, children first, plus named roots. An image file is a bundle with one
 * root, an Image, named "image". Both carry a checksum. Reading checks every offset, length and
 * hash before anything is published.
 *
 * Thread rules: any thread; what takes a javm_dir_thread, the thread that owns it. A *bundle is
 * empty after a failure and has to be cleared after success; clearing a zeroed one does no harm.
 * Errors: FORMAT, RANGE, KIND, MISSING, LIMIT, UNSUPPORTED for bytes that are not as they should
 * be, with the place in `where`; IO for files; NOMEM. */
#ifndef JAVM_LOAD_H
#define JAVM_LOAD_H

#include "javm/cap.h"
#include "javm/directory.h"
#include "javm/image.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A whole file in memory. IO errors name the path; LIMIT when larger than `limit` bytes (0: 4 GiB),
 * and beyond 256 MiB of what is no regular file. *bytes is malloc'ed and becomes the caller's. */
enum javm_status javm_file_read(const char *path, uint64_t limit, uint8_t **bytes, size_t *len,
                                struct javm_error *err);
/* Written beside and renamed, so that the path holds the old or the new file, whole. */
enum javm_status javm_file_write(const char *path, const void *bytes, size_t len,
                                 struct javm_error *err);

struct javm_bundle_root {
    char *name; /* UTF-8, NUL-terminated, 1..255 bytes, unique, sorted */
    uint32_t cap;
};
/* In memory: caps in children-first order; every hash that a cap names is of an earlier one. */
struct javm_bundle {
    struct javm_cap **caps; /* one reference each, owned */
    uint32_t cap_count;
    struct javm_bundle_root *roots; /* owned */
    uint32_t root_count;
};

enum javm_status javm_bundle_decode(const uint8_t *bytes, size_t len, struct javm_bundle *bundle,
                                    struct javm_error *err);
/* Deterministic: the same caps and roots give the same bytes. Sorts nothing but roots. *bytes is
 * malloc'ed and becomes the caller's. */
enum javm_status javm_bundle_encode(const struct javm_bundle *bundle, uint8_t **bytes, size_t *len,
                                    struct javm_error *err);
void javm_bundle_clear(struct javm_bundle *bundle);
/* Publish all caps. *hashes (malloc'ed, one per root, the caller's) may be NULL. */
enum javm_status javm_bundle_publish(const struct javm_bundle *bundle, struct javm_dir_thread *dir,
                                     struct javm_hash **hashes, struct javm_error *err);
/* Collect the closure of published caps below `roots` into a bundle. */
enum javm_status javm_bundle_collect(struct javm_dir_thread *dir, const struct javm_hash *roots,
                                     const char *const *names, uint32_t count,
                                     struct javm_bundle *bundle, struct javm_error *err);

/* Linking: ET_EXEC RISC-V from the documented flags and script -> a bundle with one root "image".
 */
struct javm_link_options {
    uint64_t stack_bytes; /* default (0): 64 KiB; rounded up to pages */
    uint64_t heap_bytes;  /* default 0: none */
    /* Root slots (1..255) that the image declares for its handles, in order; 0 ends the lists. */
    uint8_t gas_slots[8], quota_slots[8];
    uint8_t receiver_slot; /* of its YieldReceiver; 0: none */
    bool mark_all;         /* stress mode: a marker before every instruction */
    bool keep_layout;      /* only verify: refuse when a marker would be needed; not with pvm */
    bool pvm;              /* translate to PVM instead; mark_all: without putting constants into
                              instructions, and with every instruction in the jump table */
};
/* *map (may be NULL): malloc'ed text of the --map file. FORMAT and UNSUPPORTED name function +
 * offset. */
enum javm_status javm_link_elf(const uint8_t *elf, size_t len,
                               const struct javm_link_options *options, struct javm_bundle *bundle,
                               char **map, struct javm_error *err);

/* Look at the code of an image made by others, as `javm-link --check` does: every branch and jal
 * should go to a block start, every endpoint should be one; of PVM code: every jump and every entry
 * of the jump table to where an instruction starts, every endpoint be such a place. *findings
 * (malloc'ed text, one line each) lists what is wrong and every reserved encoding, each kind at
 * most 100 times; *problems counts what is wrong, not the reserved encodings and opcodes, which
 * only panic when they are reached. LIMIT for more PVM2 code than the engine takes, NOMEM. */
enum javm_status javm_image_check(const struct javm_image *image, char **findings,
                                  uint64_t *problems, struct javm_error *err);

enum javm_file_kind { JAVM_FILE_UNKNOWN, JAVM_FILE_BUNDLE, JAVM_FILE_ELF };
enum javm_file_kind javm_file_sniff(const uint8_t *bytes, size_t len);
/* Any loadable file: a bundle as it is, an ELF linked with default options. */
enum javm_status javm_load(const uint8_t *bytes, size_t len, struct javm_bundle *bundle,
                           struct javm_error *err);

#ifdef __cplusplus
}
#endif
#endif
