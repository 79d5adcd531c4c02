"""The ReLU program: the same with a cone for each block, and certificates over all networks."""
