"""Estimators, intervals and paired tests: numbers in, numbers out; rows and files are elsewhere."""
