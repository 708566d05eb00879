/* Which kernels run on this processor. */
#include "kernels/kernels.h"

static const sir_kernels *x86(uint32_t isa) {
#if defined(__x86_64__)
    int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vbmi") &&
                 __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("bmi2");
    if (avx512 && (isa == SIR_ISA_AVX512 || isa == SIR_ISA_BEST)) return &sir_kernels_avx512;
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
               __builtin_cpu_supports("popcnt");
    if (avx2 && (isa == SIR_ISA_AVX2 || isa == SIR_ISA_BEST)) return &sir_kernels_avx2;
#endif
    (void)isa;
    return NULL;
}

static const sir_kernels *arm(uint32_t isa) {
#if defined(__aarch64__)
    if (isa == SIR_ISA_NEON || isa == SIR_ISA_BEST) return &sir_kernels_neon;
#endif
    (void)isa;
    return NULL;
}

const sir_kernels *sir_kernels_for(uint32_t isa) {
    const sir_kernels *found = x86(isa);
    if (found == NULL) found = arm(isa);
    if (found == NULL && (isa == SIR_ISA_SCALAR || isa == SIR_ISA_BEST)) found = &sir_kernels_scalar;
    return found;
}
