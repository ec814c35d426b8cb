"""What runs in a guest, and on the host for comparison: nothing but the standard library."""
