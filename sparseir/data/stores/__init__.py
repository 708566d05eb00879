"""Texts and pairs of any size on disk, mapped into memory by every process that reads them."""
