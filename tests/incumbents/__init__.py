"""Applications that others install and serve, through bridge instead of a2wsgi or asgiref.

`cases` lists them, `sites` has how they are served today, and the recipes of
``docs/howto/cookbook.md`` are how they are served through bridge. ``nox -s incumbents`` compares.
"""
