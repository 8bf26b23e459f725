"""Deployments of real projects, pinned, each with the inventory that a reader of its files expects.

A TOML file a project: the repository and its commit, and facts about its deployment, written by
hand before the tool ran on it. The files themselves are not here; :mod:`.sources` gets them.
"""
