"""How an unknown log may be read: formats, layouts and sessions guessed from a sample of its lines."""
