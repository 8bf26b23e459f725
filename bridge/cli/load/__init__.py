"""Imports the app that a target names: ``main:app``, ``main.py``, or a Django project."""
