"""What every room uses: arrays from users, scaling, bits, bounds, files."""
