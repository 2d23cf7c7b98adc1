/* The count, version and sweep protocol of cache/, small enough to look at every interleaving.
 *
 * Three entries: A, whose first value (version 0) holds a CapRef of B and whose second (version 1) holds
 * none; B (version 2); C (version 3), which is made while the others work. Threads:
 *   0 reads A and follows the CapRef to B if it is there, puts C in, gives up A and C;
 *   1 replaces A's value or does not, gives up A;
 *   2, 3 sweep; 4 sweeps once more when all are done, after which nothing may be left.
 * Every access asserts that what it touches is allocated. Memory is freed at the earliest moment that a
 * grace period allows: when the last thread leaves that was in a section when it was retired.
 * What this does not cover: memory orders (all steps are sequentially consistent here) and the table.
 *
 * Each of these must make the search fail:
 *   BROKEN_CLAIM   the claim tests and sets in two steps
 *   BROKEN_PIN     a reader pins a version without asking whether it is gone
 *   BROKEN_READER  a reader stays outside of epoch sections
 *   BROKEN_ORDER   a swept entry is retired before it is unlinked
 *   BROKEN_VIEW    a reader gives up its pin before it has its own reference to the cap */

#define A 0
#define B 1
#define C 2
#define NONE 255

#define VERSION 3       /* objects 0..2 are the entries, VERSION + v are the versions' bytes */
#define OBJECTS 7

byte memory[OBJECTS];   /* 1: allocated */
bool retired[OBJECTS];
byte waits[OBJECTS];    /* threads whose sections must end first, bit set */
byte inside;            /* threads in a section, bit set */

byte count[3];          /* of the ref cells */
bool linked[3];         /* in the table */
byte value[3];          /* the version */

byte pins[4];
byte cap_count[4];      /* of the cap in the version */
byte cap_freed[4];

bool replaced;
byte finished;

/* ---- epochs ---- */

inline enter()
{
    inside = inside | (1 << self)
}

inline leave()
{
    d_step {
        inside = inside & ~(1 << self);
        object = 0;
        do
        :: object < OBJECTS ->
            waits[object] = waits[object] & ~(1 << self);
            if
            :: retired[object] && waits[object] == 0 -> memory[object] = 0
            :: else
            fi;
            object++
        :: else -> break
        od;
        object = 0
    }
}

inline retire(i)
{
    d_step {
        assert(memory[i] == 1 && !retired[i]);
        retired[i] = true;
        waits[i] = inside;
        if
        :: waits[i] == 0 -> memory[i] = 0
        :: else
        fi
    }
}

/* ---- counts ---- */

inline drop(e)
{
    d_step {
        assert(memory[e] == 1 && count[e] > 1); /* never the directory's own */
        count[e] = count[e] - 1
    }
}

inline cap_release(v)
{
    d_step {
        assert(cap_count[v] > 0);
        cap_count[v] = cap_count[v] - 1;
        last = (cap_count[v] == 0);
        cap_freed[v] = cap_freed[v] + (last -> 1 : 0);
        assert(cap_freed[v] <= 1)
    }
    if
    :: last && v == 0 -> drop(B)
    :: else
    fi
}

inline unpin(v)
{
    d_step {
        assert(memory[VERSION + v] == 1 && pins[v] > 0);
        pins[v] = pins[v] - 1;
        last = (pins[v] == 0)
    }
    if
    :: last ->
        cap_release(v);
        retire(VERSION + v)
    :: else
    fi
}

/* ---- a holder's operations ---- */

/* view := a counted view of entry e */
inline read(e)
{
#ifndef BROKEN_READER
    enter();
#endif
    do
    ::  atomic { assert(memory[e] == 1); view = value[e] }
        /* the compare-and-set loop of version_pin, whose failures change nothing, as one step */
        atomic {
            assert(memory[VERSION + view] == 1);
#ifdef BROKEN_PIN
            ok = true;
#else
            ok = (pins[view] > 0);
#endif
            pins[view] = pins[view] + (ok -> 1 : 0)
        }
        if
        :: ok -> break
        :: else
        fi
    od;
#ifdef BROKEN_VIEW
    unpin(view);
    atomic { assert(cap_count[view] > 0); cap_count[view] = cap_count[view] + 1 }
#else
    atomic { assert(cap_count[view] > 0); cap_count[view] = cap_count[view] + 1 }
    unpin(view);
#endif
    leave()
}

proctype reader(byte self)
{
    byte view, outer, object;
    bool ok, last;
    read(A);
    outer = view;
    if
    :: outer == 0 -> /* the view keeps B alive */
        assert(count[B] > 1);
        read(B);
        cap_release(view)
    :: else
    fi;
    drop(A);
    linked[C] = true; /* its count is 2 and its value is set: published whole */
    cap_release(outer);
    drop(C);
    finished++
}

proctype replacer(byte self)
{
    byte old, object;
    bool last;
    if
    :: true ->
        enter();
        atomic { assert(memory[A] == 1); old = value[A]; value[A] = 1; replaced = true }
        unpin(old);
        leave()
    :: true
    fi;
    drop(A);
    finished++
}

/* ---- sweeping ---- */

inline unlink(e)
{
    d_step {
        assert(linked[e]);
        child = (value[e] == 0 -> B : NONE);
        linked[e] = false
    }
}

inline try_remove(e)
{
    child = NONE;
#ifdef BROKEN_CLAIM
    atomic { assert(memory[e] == 1); ok = (count[e] == 1) }
    if
    :: ok -> count[e] = 0
    :: else
    fi;
#else
    atomic {
        assert(memory[e] == 1);
        ok = (count[e] == 1);
        if
        :: ok -> count[e] = 0
        :: else
        fi
    }
#endif
    if
    :: ok ->
#ifdef BROKEN_ORDER
        retire(e);
        leave();
        enter();
        unlink(e);
        unpin(value[e]);
#else
        unlink(e);
        unpin(value[e]);
        retire(e);
#endif
        removed = true
    :: else
    fi
}

inline sweep()
{
    do
    ::  removed = false;
        at = 0;
        enter();
        do
        :: at < 3 ->
            if
            :: linked[at] ->
                try_remove(at);
                if
                :: child != NONE -> try_remove(B) /* was noted when its holder was claimed */
                :: else
                fi
            :: else
            fi;
            at++
        :: else -> break
        od;
        leave();
        if
        :: !removed -> break
        :: else
        fi
    od
}

proctype sweeper(byte self)
{
    byte at, child, object;
    bool ok, last, removed;
    sweep();
    finished++
}

proctype last_sweeper(byte self)
{
    byte at, child, object;
    bool ok, last, removed;
    finished == 4;
    sweep();
    at = 0;
    do
    :: at < 3 -> assert(!linked[at] && count[at] == 0 && memory[at] == 0); at++
    :: else -> break
    od;
    at = 0;
    do
    :: at < 4 ->
        assert(at == 1 && !replaced || cap_freed[at] == 1 && memory[VERSION + at] == 0);
        at++
    :: else -> break
    od
}

init
{
    d_step {
        count[A] = 3; /* the directory, reader, replacer */
        count[B] = 2; /* the directory, version 0 */
        count[C] = 2; /* the directory, reader */
        linked[A] = true;
        linked[B] = true;
        value[A] = 0; value[B] = 2; value[C] = 3;
        pins[0] = 1; pins[1] = 1; pins[2] = 1; pins[3] = 1;
        cap_count[0] = 1; cap_count[1] = 1; cap_count[2] = 1; cap_count[3] = 1;
        memory[0] = 1; memory[1] = 1; memory[2] = 1; memory[3] = 1; memory[4] = 1; memory[5] = 1;
        memory[6] = 1
    }
    atomic {
        run reader(0);
        run replacer(1);
        run sweeper(2);
        run sweeper(3);
        run last_sweeper(4)
    }
}
