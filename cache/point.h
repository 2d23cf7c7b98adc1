/* Places where a test may stop the thread. CACHE_POINT(name) stands between any two steps of an
 * operation that another thread can see; the normal build compiles it to nothing. A test that
 * defines JAVM_CACHE_POINTS compiles this folder's sources itself and brings cache_point(). No
 * point stands inside an allocation, so a thread that is stopped at one holds no lock of the
 * allocator. */
#ifndef CACHE_POINT_H
#define CACHE_POINT_H

#ifdef JAVM_CACHE_POINTS
void cache_point(const char *name);
#define CACHE_POINT(name) cache_point(name)
#else
#define CACHE_POINT(name) ((void)0)
#endif

#endif
