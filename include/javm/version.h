/* The version of this library; the build fails when it is not the project's. */
#ifndef JAVM_VERSION_H
#define JAVM_VERSION_H

#define JAVM_VERSION "0.1.0"

#endif
