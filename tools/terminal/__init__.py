"""What the tools show in a terminal, alike in all of them."""
