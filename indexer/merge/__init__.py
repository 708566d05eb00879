"""Several segments, or the runs a build spilled, into one: a range of terms at a time, in bounded memory."""
