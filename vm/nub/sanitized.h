/* Is this a build with the address or thread sanitizer? Their runtimes reserve more addresses than
 * any limit allows. */
#ifndef JAVM_NUB_SANITIZED_H
#define JAVM_NUB_SANITIZED_H

#define NUB_SANITIZED 0
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#undef NUB_SANITIZED
#define NUB_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#undef NUB_SANITIZED
#define NUB_SANITIZED 1
#endif
#endif

#endif
