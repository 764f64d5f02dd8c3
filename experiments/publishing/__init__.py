"""A trained part of a run as a folder of the Hugging Face Hub: weights, model card, and how it was made."""
