"""The gated-ReLU program: a group lasso over masked copies of the data."""
