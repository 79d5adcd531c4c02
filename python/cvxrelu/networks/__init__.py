"""Networks as plain arrays, and their exports."""
