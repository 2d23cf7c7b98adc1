/* Bytes into a file descriptor: plain, gzip or zstd, whole writes, errors kept. */
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
/* False: errno says why, and *whole is how many of the bytes reached the file as whole lines (0
 * when compressed). A torn line is cut off where the file allows it. */
bool encoder_write(struct encoder *encoder, const char *bytes, size_t len, size_t *whole);
/* Make what was written so far readable for others (compressed streams hold bytes back). */
bool encoder_flush(struct encoder *encoder);
/* End the stream. */
bool encoder_finish(struct encoder *encoder);
/* Bytes that reached the descriptor. */
uint64_t encoder_bytes(const struct encoder *encoder);

#endif
