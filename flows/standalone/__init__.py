"""Evaluations outside of a run: any checkpoint or server on any benchmark, and two compared."""
