"""Indexes behind HTTP: a JSON service and a page that shows why a hit is a hit. Needs the extra `serve`."""
