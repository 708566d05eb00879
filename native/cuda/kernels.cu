// The kernels of the gpu engine. docs/gpu.md draws the layout; sparseir/search/gpu/cuda_backend.py launches them.
#include "hybrid.cuh"
#include "score.cuh"
#include "select.cuh"

#define SIR_SCORE_KERNEL(name, group, sink)                                                                            \
    extern "C" __global__ void __launch_bounds__(512, 4) name(const SirTask task)                                      \
    {                                                                                                                  \
        sir_score_block<group, sink>(task);                                                                            \
    }

SIR_SCORE_KERNEL(sir_emit_1, 1, SIR_EMIT)
SIR_SCORE_KERNEL(sir_emit_4, 4, SIR_EMIT)
SIR_SCORE_KERNEL(sir_sample_1, 1, SIR_SAMPLE)
SIR_SCORE_KERNEL(sir_sample_4, 4, SIR_SAMPLE)
SIR_SCORE_KERNEL(sir_store_1, 1, SIR_STORE)
SIR_SCORE_KERNEL(sir_store_4, 4, SIR_STORE)

#define SIR_HYBRID_KERNEL(name, group, sink)                                                                           \
    extern "C" __global__ void __launch_bounds__(512, 1) name(const SirTask task)                                      \
    {                                                                                                                  \
        sir_hybrid_block<group, sink>(task);                                                                           \
    }

SIR_HYBRID_KERNEL(sir_hybrid_emit_1, 1, SIR_EMIT)
SIR_HYBRID_KERNEL(sir_hybrid_emit_4, 4, SIR_EMIT)
SIR_HYBRID_KERNEL(sir_hybrid_sample_1, 1, SIR_SAMPLE)
SIR_HYBRID_KERNEL(sir_hybrid_sample_4, 4, SIR_SAMPLE)
SIR_HYBRID_KERNEL(sir_hybrid_store_1, 1, SIR_STORE)
SIR_HYBRID_KERNEL(sir_hybrid_store_4, 4, SIR_STORE)

extern "C" __global__ void __launch_bounds__(256) sir_resolve(const SirTask task)
{
    sir_resolve_thread(task);
}

extern "C" __global__ void __launch_bounds__(256) sir_tighten(const SirTask task)
{
    sir_tighten_block(task);
}

extern "C" __global__ void __launch_bounds__(512) sir_select(const SirTask task)
{
    sir_select_block(task);
}
