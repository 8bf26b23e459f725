"""Superset's settings: a database of its own for each server."""

import os

SECRET_KEY = "not-a-secret-but-long-enough-to-be-one"
SQLALCHEMY_DATABASE_URI = os.environ["SUPERSET_DATABASE"]
