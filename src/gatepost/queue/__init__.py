"""Room 5, its rules: when a delivery is tried again, and when that ends."""
