"""Pages of a tracking service that compare runs."""
