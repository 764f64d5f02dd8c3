"""Configuration: typed dataclasses (`schema.py`) and one yaml folder per choice."""
