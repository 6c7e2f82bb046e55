"""Where in a text its final answer stands: boxes, statements, JSON. Nothing is compared here."""
