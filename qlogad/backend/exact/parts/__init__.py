"""Parts that the methods of the exact engine are made of."""
