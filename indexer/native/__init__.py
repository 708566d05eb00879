"""The one binding of the C library, native/include/sparseir.h."""
