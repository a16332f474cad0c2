"""Event rules: what follows from which events, in which order, number and time. Pure functions and objects, no I/O.

An event goes the way `listen` (which rule hears it, by which key) -> `machine` or `charts` (what that means, with the
engine behind `interface`) -> `work` (what is to be done, with its values). Time is an argument everywhere: the same
events and times give the same results, so that everything can be rebuilt from stored events, and simulated.
"""
