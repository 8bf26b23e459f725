"""Startup and shutdown of ASGI apps: one, several in order, and several shared by a process."""
