/* The numbers of the kernel's operations (docs/kernel.md), as tests call them. */
#ifndef JAVM_TESTS_KERNEL_NUMBERS_H
#define JAVM_TESTS_KERNEL_NUMBERS_H

enum {
    REPLY_OP = 0,
    COPY,
    MOVE,
    DROP,
    SWAP,
    MINT_CNODE,
    GET_WIDE,
    SET_WIDE,
    YIELD = 16,
    SET_IMAGE,
    SPAWN,
    MAKE_IMAGE,
    SAME_TYPE,
    TYPE_OF,
    READ_DATA,
    MINT_DATA,
    FILE_OPEN,
    FILE_SAVE,
    CALL,
    RESUME,
    DROP_RESUME,
    CHAIN,
    CALL_PAUSED,
    OPERATIONS
};

#endif
