"""The pipeline of a run: read a page, map, match, decide, write, check in. It knows no web framework and no queue."""
