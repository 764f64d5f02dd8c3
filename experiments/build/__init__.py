"""From a configuration to objects, one file per group. Everything past it is typed and knows nothing of Hydra."""
