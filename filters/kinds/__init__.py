"""One file a filter: its settings and its marks. The union of the settings is `filters.config`."""
