"""The servers of ``bridge run``: one module for each, with all that is specific to it."""
