"""Pillow's formats: PNG, JPEG, TIFF, BMP, PGM."""
