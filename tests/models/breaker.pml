// SPDX-License-Identifier: MIT
// The state machine of again/protection/detail/breaker_machine.hpp, for spin. tests/tools/check_models.py runs it, and each variant that
// is broken on purpose (BROKEN_…), which must fail.
//
// Checked: half open never has more probes out and proven than allowed, and never refuses while none is out (assertions);
// open always ends (ltl), if time passes and somebody asks.
#ifndef PROBES
#define PROBES 2
#endif
#define TRIP 2
#define CALLERS 3

mtype = { closed, open, half_open };
mtype state = closed;
byte failures = 0;       // in a row
byte probing = 0;
byte proven = 0;
bool due = false;         // the break is over

bool fresh[CALLERS];      // let through since the last change of state: stands for "the epoch is the same"
bool probe[CALLERS];      // let through while half open, since the last change of state, and no outcome told: only observed
byte good_probes = 0;     // probes that told a success since the last change of state: only observed

inline enter(next) {
  state = next;
  failures = 0; probing = 0; proven = 0; due = false;
  good_probes = 0;
  i = 0;
  do
  :: i < CALLERS -> probe[i] = false;
#ifndef BROKEN_EPOCH
     fresh[i] = false;
#endif
     i++
  :: else -> break
  od
}

inline count_probes() {
  out = 0;
  i = 0;
  do
  :: i < CALLERS -> if :: probe[i] -> out++ :: else -> skip fi; i++
  :: else -> break
  od
}

proctype caller(byte me) {
  byte i;
  byte out;
  bool passed;
end:
  do
  :: atomic {  // admit
       passed = false;
       if
#ifndef BROKEN_TIMER
       :: state == open && due -> enter(half_open)
#endif
       :: else -> skip
       fi;
       if
       :: state == closed -> passed = true; fresh[me] = true
       :: state == open -> skip
       :: state == half_open ->
            if
#ifdef BROKEN_PROBES
            :: probing < PROBES ->
#else
            :: probing + proven < PROBES ->
#endif
                 probing++; passed = true; fresh[me] = true; probe[me] = true
            :: else -> count_probes(); assert(out > 0)
            fi;
            count_probes();
            assert(out + good_probes <= PROBES)
       fi
     }
     if
     :: passed ->
          if
          :: atomic {  // succeeded
               skip;
               if
               :: fresh[me] && state == closed -> failures = 0
               :: fresh[me] && state == half_open ->
                    probing--; proven++;
                    if :: probe[me] -> probe[me] = false; good_probes++ :: else -> skip fi;
                    if :: proven == PROBES -> enter(closed) :: else -> skip fi
               :: else -> skip
               fi;
               fresh[me] = false
             }
          :: atomic {  // failed
               skip;
               if
               :: fresh[me] && state == closed ->
                    failures++;
                    if :: failures >= TRIP -> enter(open) :: else -> skip fi
               :: fresh[me] && state == half_open -> enter(open)
               :: else -> skip
               fi;
               fresh[me] = false
             }
          :: atomic {  // abandoned
               skip;
               if
               :: fresh[me] && state == half_open -> probing--; probe[me] = false
               :: else -> skip
               fi;
               fresh[me] = false
             }
          fi
     :: else -> skip
     fi
  od
}

proctype time() {
end:
  do
  :: state == open && !due -> due = true
  od
}

init {
  atomic {
    byte n = 0;
    do
    :: n < CALLERS -> run caller(n); n++
    :: else -> break
    od;
    run time()
  }
}

ltl open_ends { [] ((state == open) -> <> (state != open)) }
