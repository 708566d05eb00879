"""Indexes as other frameworks and agents ask them. Each module needs its framework, and is imported only when it is used."""
