"""Benchmarks of other engines that hold our indexes: loading, whole chains, exports, and what a linter says of them."""
