/* The stack of free places (cache/place.h), small enough to look at every interleaving.
 *
 * Three threads take a place, or make one, keep it for a while and retire it, the first of them twice;
 * a retired place comes back to the stack when the last thread leaves that was in a section when it was
 * retired, the earliest moment that a grace period allows. Asserted: a place has one holder at most, and
 * none of those that were made is lost. Not covered: memory orders; that the compare-and-set loop of
 * place_give is more than one step changes nothing, since only its last step is seen.
 *
 * This must make the search fail:
 *   BROKEN_GIVE   a place goes back to the stack at once, without a grace period (ABA) */

#define PLACES 6        /* 1..PLACES; 0 is none */
#define THREADS 3

byte top = 2;           /* 2 above 1 */
byte next[7];
byte holder[7];         /* how many have it */
bool retired[7];
byte waits[7];
byte inside;
byte made = 2;
byte finished;

inline leave(self)
{
    d_step {
        inside = inside & ~(1 << self);
        i = 1;
        do
        :: i <= PLACES ->
            waits[i] = waits[i] & ~(1 << self);
            if
            :: retired[i] && waits[i] == 0 -> retired[i] = false; next[i] = top; top = i
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = 0
    }
}

proctype worker(byte self; byte rounds)
{
    byte i, seen, below;
    do
    :: rounds > 0 ->
        rounds--;
        inside = inside | (1 << self);
        do
        ::  seen = top;
            if
            :: seen == 0 -> break
            :: else
            fi;
            below = next[seen];
            if
            :: atomic { top == seen -> top = below } ; break
            :: atomic { top != seen -> skip }
            fi
        od;
        leave(self);
        if
        :: seen == 0 -> atomic { made++; seen = made }
        :: else
        fi;
        atomic { holder[seen]++; assert(holder[seen] == 1) }
        /* the entry lives, is swept and retired inside a section of the sweep */
        inside = inside | (1 << self);
        holder[seen] = 0;
#ifdef BROKEN_GIVE
        d_step { next[seen] = top; top = seen };
#else
        d_step { retired[seen] = true; waits[seen] = inside }
#endif
        leave(self);
        seen = 0;
        below = 0
    :: else -> break
    od;
    finished++
}

proctype check()
{
    byte i, free;
    finished == THREADS;
    i = 0;
    do
    :: top != 0 && i <= PLACES -> top = next[top]; free++; i++
    :: else -> break
    od;
    assert(top == 0 && free == made)
}

init
{
    next[2] = 1;
    atomic { run worker(0, 2); run worker(1, 1); run worker(2, 1); run check() }
}
