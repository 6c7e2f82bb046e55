"""Whether a policy still finds solutions that are new: figures on its own samples, and a plateau.

They decide nothing about a candidate; the gate does.
"""
