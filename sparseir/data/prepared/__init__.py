"""A prepared folder: texts by row, and which documents answer queries, which do not, and what teachers give them."""
