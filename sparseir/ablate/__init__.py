"""Grids of recipes: every cell trained and evaluated, what their seeds have in common, tables and pictures."""
