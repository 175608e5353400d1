"""Hosting-capacity studies of bidirectional EV charging on distribution feeders.

One folder a stage, in the order in which a study runs them: ``feeder`` (the model and its base
load), ``fleet`` (who is plugged in, and how full), ``dispatch`` (what they do about it),
``loadshape`` (signed kW at each connection point), ``powerflow``, ``screening``, ``report``.
``study`` runs them from one YAML file; each can be called alone with plain arguments.
"""

__version__ = "0.1.0"
