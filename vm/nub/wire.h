/* Where the fields of archived values are: the rkyv 0.8 layout of the types in docs/nub.md. */
#ifndef JAVM_NUB_WIRE_H
#define JAVM_NUB_WIRE_H

#include "javm/image.h"
#include "javm/nub.h"

/* A Vec in place: i32 offset relative to itself, u32 length. */
#define WIRE_VEC 8u

/* Offsets in the root. */
enum {
    WIRE_INSTANCE_CHAIN = 1,
    WIRE_INSTANCE_IMAGE = 33,
    WIRE_INSTANCE_CNODE = 65,
    WIRE_INSTANCE_OVERLAYS = 100,
    WIRE_INSTANCE_MEM_SIZE = 108,
    WIRE_INSTANCE_REGS = 112,
    WIRE_INSTANCE_PC = 216,
    WIRE_INSTANCE_GAS = 224,

    WIRE_IMAGE_CODE = 4,
    WIRE_IMAGE_BITMASK = 12,
    WIRE_IMAGE_JUMPS = 20,
    WIRE_IMAGE_ENDPOINTS = 28,
    WIRE_IMAGE_MAPPINGS = 36,
    WIRE_IMAGE_PINNED = 44,
    WIRE_IMAGE_INITIAL = 52,
    WIRE_IMAGE_YIELD_TAG = 60,
    WIRE_IMAGE_YIELD = 64,

    WIRE_DATA_BYTES = 4,
    WIRE_CNODE_LOG = 1,
    WIRE_CNODE_SLOTS = 4,
    WIRE_TYPE_CHAIN = 1
};

/* Elements: size, and offsets in them. All but overlays, slots and numbers are 8-aligned. */
enum {
    WIRE_OVERLAY = 12,
    WIRE_OVERLAY_BYTES = 4,
    WIRE_SLOT = 36,
    WIRE_SLOT_HASH = 4,
    WIRE_ENDPOINT = 128,
    WIRE_ENDPOINT_STACK = 8,
    WIRE_ENDPOINT_SLOT = 16,
    WIRE_ENDPOINT_SIZE = 20,
    WIRE_ENDPOINT_REGS = 24,
    WIRE_MAPPING = 32,
    WIRE_MAPPING_SIZE = 8,
    WIRE_MAPPING_PATH = 16,
    WIRE_MAPPING_DEPTH = 24
};

#define WIRE_SIZE_LOG_MAX 32

#endif
