/* What a Paused Instance is made of: between kernel_pause.c, which writes it, and kernel_thaw.c.
 * docs/kernel.md has the form; nothing of it depends on the engine or the machine.
 *
 * Its root_cnode has one CNode for each entry, by number from the bottom; its mem the header: words
 * of 8 bytes, little-endian. It is data like any other, so thawing believes nothing of it. */
#ifndef JAVM_VM_KERNEL_PAUSE_H
#define JAVM_VM_KERNEL_PAUSE_H

#define PAUSE_MAGIC UINT64_C(0x32444553554150A7) /* "\xA7PAUSED2" */

/* Header. Then the gas meters and the quotas: key, its length, value; in order of keys; then the
 * keys of attestations: key, its length. The Data of files and attestations are in two CNodes, by
 * number, in the slots behind the last entry. */
enum {
    HEAD_MAGIC,
    HEAD_COUNT,
    HEAD_BY_KERNEL,
    HEAD_SPENT,
    HEAD_METERS,
    HEAD_QUOTAS,
    HEAD_FILES,
    HEAD_ATTESTATIONS,
    HEAD_WORDS
};

/* Slots of an entry's CNode; a ReferenceEntry has the first only. */
enum {
    PART_STATE,    /* Data: words, below */
    PART_INSTANCE, /* as it is now, Idle; slots of its callees are empty */
    PART_IMAGE,    /* that runs */
    PART_SLOT0,
    PART_GIVEN,
    PART_CATCHES, /* not of the bottom entry: its owner is another next time */
    PART_SOURCES, /* CNode: what mapping i shows at first, by number */
    PART_PAGES    /* Data: pages that differ from that, in order */
};

#define OUTSIDE UINT64_MAX /* owner or scope: of whoever resumes */

/* Words of a state. Behind them: page numbers, and a word for each persistent mapping from the 65th
 * on, 1 if it was replaced. */
enum {
    STATE_KIND,
    STATE_OWNER,
    STATE_HOME,
    STATE_SCOPE,
    STATE_ACTIVE,
    STATE_KEY, /* REFERENCE */
    STATE_KEY_LEN,
    STATE_BY_KERNEL,
    STATE_REPLACED,
    STATE_PAGES,
    STATE_REPLACED_MORE, /* how many */
    STATE_UNPAID,        /* gas, of a bottom frame that has not begun */
    STATE_PC,
    STATE_REGS,
    STATE_WORDS = STATE_REGS + JAVM_NUM_SLOTS
};

#endif
