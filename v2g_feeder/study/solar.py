"""Photovoltaic arrays of a study, in its circuit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.feeder.solar import solar_shape
from v2g_feeder.loadshape import connection_points

if TYPE_CHECKING:
    from v2g_feeder.feeder.model import Feeder
    from v2g_feeder.powerflow.opendss import Circuit
    from v2g_feeder.study.config import Study

__all__ = ["SOLAR_NAME", "with_solar"]

SOLAR_NAME: Final = "solar"
"""Prefix of the loads that stand for arrays."""


def with_solar(study: Study, circuit: Circuit, feeder: Feeder) -> Circuit:
    """Return a circuit with the study's arrays, each a load whose base load is below zero.

    Both engines, the head without EVs, managed charging and the exported package then hold them as
    they hold the base load.

    Raises
    ------
    InputError
        For a bus that the feeder does not have.
    """
    base = circuit.base_load
    p, q, shape_of, commands = [base.p], [base.q], dict(base.shape_of), list(circuit.commands)
    problems = []
    for number, section in enumerate(study.content.solar):
        bus = str(section.bus).lower()
        options = feeder.connections(bus) if bus in feeder.buses.index else []
        if not options:
            where = f"{study.path}: solar[{number}].bus"
            hint = nearest(bus, list(feeder.buses.index))
            problems.append(Problem(where, f"no bus {str(section.bus)!r} to connect to", hint))
            continue
        point = next(connection_points(feeder, [(bus, options[-1])]).itertuples())
        name = f"{SOLAR_NAME}_{section.name}".lower()
        commands.append(
            f"New Load.{name} bus1={bus}.{point.nodes} phases={point.phases} "
            f"conn={'delta' if point.delta else 'wye'} kv={point.kv:.8g} kw=-{section.kw:g} "
            "kvar=0 model=1 vminpu=0.5 vmaxpu=1.5 status=exempt"
        )
        shape_of[name] = sum(map(len, p))
        p.append(solar_shape(section.array(), study.calendar)[None])
        q.append(np.zeros_like(p[-1]))
    if problems:
        raise InputError(problems)
    base = replace(base, p=np.concatenate(p), q=np.concatenate(q), shape_of=shape_of)
    return replace(circuit, commands=tuple(commands), base_load=base)
