"""Threads and event loops: who runs, who waits, and how the one wakes the other."""
