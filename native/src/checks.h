/* Invariants, checked in the builds that tests and fuzzing use and compiled out of every other (SIR_CHECKS in CMakeLists.txt).
 * A file is never believed, so that a damaged one may break what is true of every sound file: SIR_CHECKS=1 checks only what
 * holds whatever a file says, SIR_CHECKS=2 also what a file must be sound for. */
#ifndef SIR_CHECKS_H
#define SIR_CHECKS_H

#ifndef SIR_CHECKS
#define SIR_CHECKS 0
#endif

#if SIR_CHECKS > 0
#undef NDEBUG
#include <assert.h>
#define SIR_ASSERT(condition) assert(condition)
#else
#define SIR_ASSERT(condition) ((void)0)
#endif

#if SIR_CHECKS > 1
#define SIR_ASSERT_SOUND(condition) assert(condition)
#else
#define SIR_ASSERT_SOUND(condition) ((void)0)
#endif

#endif
