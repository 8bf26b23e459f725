"""`bridge.sync`: against asgiref's promises, beside asgiref, and under stress."""
