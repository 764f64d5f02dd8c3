"""Editing one's own pictures: what the commands `edit` and `session` are made of."""
