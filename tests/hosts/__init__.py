"""Two hosts behind HAProxy, with one Redis, and what their clients notice of each failure."""
