"""Who is it: are these credentials good, whose are they, and if not, why really."""
