/* A batch on its way through a GPU in one call: its ten or so driver calls cost half a microsecond each from here and ten
 * times that from an interpreter. The functions of the driver come from the caller, so nothing is linked. */
#include "sparseir.h"

int32_t sir_device_submit(const sir_device_calls *calls, const sir_device_batch *batch) {
    int32_t status = 0;

    if (batch->queries_bytes) status = calls->upload(batch->queries_at, batch->queries, batch->queries_bytes);
    if (status == 0 && batch->clear_bytes) status = calls->clear(batch->clear_at, 0, batch->clear_bytes);
    for (uint32_t i = 0; i < batch->num_launches && status == 0; i++) {
        const sir_device_launch *launch = batch->launches + i;
        void *parameters[1] = {batch->task}; /* the driver copies the task before it returns */

        *batch->first_window = launch->first_window;
        *batch->num_windows = launch->num_windows;
        *batch->clear = launch->clear;
        if (launch->blocks)
            status =
                calls->launch(launch->kernel, launch->blocks, 1, 1, launch->threads, 1, 1, launch->shared_bytes, 0, parameters, 0);
    }
    if (status == 0 && batch->answer_bytes) status = calls->download(batch->answer, batch->answer_at, batch->answer_bytes);
    return status;
}
