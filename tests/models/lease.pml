// SPDX-License-Identifier: MIT
// The leases of again/journal/store.hpp, for spin. tests/tools/check_models.py runs it, and each variant that is broken on purpose
// (BROKEN_…), which must fail.
//
// Two events of one order key, a producer, two workers that crash, pause for longer than their lease and lose responses of the store.
// Checked: what is acknowledged is stored; an event has one final result, whoever records how often; of two claims on an event one counts;
// the second event is taken only when the first is finished (assertions); every acknowledged event is finished in the end (ltl).
#define EVENTS 2
#define WORKERS 2
#define CRASHES 2    // of workers, in all
#define PAUSES 1     // leases that end although the worker is alive
#define LOST 1       // responses of the store to a record, in all
#define TRIES 1      // deliveries of an event until it is given up

mtype = { absent, waiting, leased, done, dead, nothing };
mtype state[EVENTS] = absent;
mtype final[EVENTS] = nothing;     // the result that was recorded first: only observed
bool acknowledged[EVENTS];
bool ended[EVENTS];                // the time of the lease is over; it counts until the event is taken
bool gone[EVENTS];                 // the worker that has it has crashed
byte tries[EVENTS];
bool counts[4];                    // worker * EVENTS + event: its token is that of the event's last lease
byte crashes = 0;
byte pauses = 0;
byte lost = 0;

#define finished(e) (state[e] == done || state[e] == dead)
#define free(e) (state[e] == waiting || (state[e] == leased && ended[e]))
#ifdef BROKEN_ORDER
#define first(e) true
#else
#define first(e) (e == 0 || finished(0))
#endif

proctype producer() {
  byte e = 0;
  do
  :: e < EVENTS ->
#ifdef BROKEN_ACKNOWLEDGED
     acknowledged[e] = true;
     if :: state[e] = waiting :: skip fi;  // the machine stops before the commit
#else
     state[e] = waiting;
     if :: acknowledged[e] = true :: skip fi;  // the response may be lost: the event is stored all the same
#endif
     assert(!acknowledged[e] || state[e] != absent);
     e++
  :: else -> break
  od
}

// Of both workers: the token of an earlier lease does not count any more.
inline take(e) {
  assert(e == 0 || finished(0));
  state[e] = leased; ended[e] = false; gone[e] = false;
#ifndef BROKEN_TOKEN
  counts[e] = false; counts[EVENTS + e] = false;
#endif
  counts[me * EVENTS + e] = true;
  assert(!(counts[e] && counts[EVENTS + e]));
}

// A result is recorded where the claim counts: the first time, or the same once more.
inline record(e, how) {
  if
  :: counts[me * EVENTS + e] && state[e] == leased ->
       if
       :: how == waiting -> state[e] = waiting
       :: else ->
            assert(final[e] == nothing);
            final[e] = how; state[e] = how
       fi
#ifdef BROKEN_REPEAT
  :: counts[me * EVENTS + e] && finished(e) -> state[e] = how
#endif
  :: else -> skip  // lost_lease, or recorded before: nothing is changed
  fi;
  assert(!finished(e) || state[e] == final[e])
}

proctype worker(byte me) {
  byte e;
  mtype how;
end:
  do
  :: atomic {
       if
       :: free(0) && first(0) -> e = 0
       :: free(1) && first(1) -> e = 1
       fi;
       take(e)
     }
     if
     :: atomic { crashes < CRASHES -> crashes++; if :: counts[me * EVENTS + e] -> gone[e] = true :: else -> skip fi }
     :: atomic {  // sent; the response is known
          if
          :: how = done
          :: how = dead
          :: tries[e] < TRIES -> tries[e]++; how = waiting
          fi
        }
        do
        :: atomic { record(e, how) }
           if
           :: break
           :: atomic { how != waiting && lost < LOST ->
                lost++  // once more
#ifdef BROKEN_REPEAT
                ; how = dead
#endif
              }
           fi
        od
     fi
  od
}

proctype time() {
end:
  do
  :: atomic { state[0] == leased && !ended[0] && gone[0] ->
#ifndef BROKEN_TIMER
       ended[0] = true
#else
       gone[0] = false
#endif
     }
  :: atomic { state[1] == leased && !ended[1] && gone[1] ->
#ifndef BROKEN_TIMER
       ended[1] = true
#else
       gone[1] = false
#endif
     }
  :: atomic { pauses < PAUSES && state[0] == leased && !ended[0] -> pauses++; ended[0] = true }
  :: atomic { pauses < PAUSES && state[1] == leased && !ended[1] -> pauses++; ended[1] = true }
  od
}

init {
  atomic {
    run producer();
    run worker(0);
    run worker(1);
    run time()
  }
}

ltl first_is_finished { [] (acknowledged[0] -> <> (state[0] == done || state[0] == dead)) }
ltl second_is_finished { [] (acknowledged[1] -> <> (state[1] == done || state[1] == dead)) }
