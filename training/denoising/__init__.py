"""Denoisers: speech is mixed with noise, a network learns to take it out, and is measured."""
