"""Room 8: what became of a delivery, and who hears of it."""
