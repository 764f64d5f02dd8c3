"""Reasoning reward models (arXiv 2604.27505): evaluation points of a request, reasoning traces with a verdict on each point and a
score, and the choice of the best trace by a verifier."""
