/* Which kernels run on this processor. */
#include "engine.h"

const sir_kernels *sir_kernels_for(uint32_t isa) {
    if (isa == SIR_ISA_SCALAR || isa == SIR_ISA_BEST) return &sir_kernels_scalar;
    return NULL;
}
