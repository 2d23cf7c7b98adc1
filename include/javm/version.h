/* The version of this library; the build fails when it is not the project's. */
#ifndef JAVM_VERSION_H
#define JAVM_VERSION_H

#define JAVM_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/* What this build of the library is, for people: compiler, flags, engines and a hash of the
 * sources, each on a line that ends with a newline. Static. Any thread. */
const char *javm_build_facts(void);

#ifdef __cplusplus
}
#endif

#endif
