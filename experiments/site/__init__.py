"""The documentation site's generated pages: one for each group of the configuration, and one of all commands."""
