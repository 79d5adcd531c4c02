"""All activation patterns: the cells of a hyperplane arrangement."""
