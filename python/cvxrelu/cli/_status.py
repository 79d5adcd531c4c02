"""Exit statuses, as the help explains them."""

EXIT_OK, EXIT_BAD_INPUT, EXIT_USAGE, EXIT_NOT_CONVERGED, EXIT_INTERRUPTED = 0, 1, 2, 3, 130
