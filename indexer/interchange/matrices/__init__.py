"""CSR matrices on disk, read and written in batches of rows: scipy's .npz and the Big-ANN benchmark's .csr."""
