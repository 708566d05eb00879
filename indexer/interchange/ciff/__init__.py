"""CIFF, the Common Index File Format: read back into rows, written by posting lists."""
