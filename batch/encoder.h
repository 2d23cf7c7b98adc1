/* Lines into a file descriptor: plain, gzip or zstd, whole writes, errors kept.
 *
 * A compressed stream is many frames (gzip: members) that begin and end with whole lines. One that
 * is torn takes only its own lines along, and more can be appended to a file that has some. */
#ifndef JAVM_BATCH_ENCODER_H
#define JAVM_BATCH_ENCODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct encoder;

enum encoding { ENCODING_PLAIN, ENCODING_GZIP, ENCODING_ZSTD };
enum encoding encoding_of(const char *path);

/* NULL: out of memory. The descriptor is borrowed. */
struct encoder *encoder_new(int fd, enum encoding encoding);
void encoder_free(struct encoder *encoder);
/* Before the first line. `any`: the file has frames already, and without lines nothing is added. */
void encoder_continue(struct encoder *encoder, bool any);
/* `lines` whole lines. False: errno says why; what is torn, a line or a frame, is cut off where the
 * file allows it. */
bool encoder_write(struct encoder *encoder, const char *bytes, size_t len, uint64_t lines);
/* Make what was written so far readable for others, and safe from what happens later: ends the
 * frame. False: as encoder_write. */
bool encoder_flush(struct encoder *encoder);
/* End the stream; a compressed one has at least one frame. False: as encoder_write. */
bool encoder_finish(struct encoder *encoder);
/* Bytes that reached the descriptor, and lines in whole frames. */
uint64_t encoder_bytes(const struct encoder *encoder);
uint64_t encoder_lines(const struct encoder *encoder);

#endif
