"""`edge-convert advise`: which model for which line, with the reasons."""
