"""Solve a master file with EPRI's engine and write its node voltages in per unit to a JSON file."""

import json
import sys
from pathlib import Path

from py_dss_interface import DSS


def main(master, out):
    dss = DSS()
    for command in (
        f'redirect "{master}"',
        "set tolerance=1e-9",
        "set maxiterations=200",
        "set maxcontroliter=200",
        "solve",
    ):
        dss.text(command)
    names = [name.lower() for name in dss.circuit.nodes_names]
    volts = dict(zip(names, dss.circuit.buses_vmag_pu, strict=True))
    content = {"converged": int(dss.solution.converged), "v_pu": volts}
    Path(out).write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
