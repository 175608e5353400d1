"""The only module that imports the OpenDSS binding; what it does wrong by default ends here.

What an engine guards against (seen with OpenDSSDirect.py 0.9.4, engine 0.14.5):

* the working directory is never changed, no editor, form or shell command is started;
* a solution counts only if it converged *and* its control actions are done, whether or not an
  exception was raised;
* one engine a process, cleared and reloaded: contexts are never freed;
* time series start from a stated set of voltages, taps and switch states, so that a result never
  depends on what was solved before.
"""

from __future__ import annotations

import json
import os
from contextlib import chdir
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import opendssdirect
from opendssdirect import dss as _module_context

from v2g_feeder.errors import FeederError, InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = [
    "CONTROL_STATIC",
    "LOCKED",
    "TOLERANCE",
    "ControlState",
    "Engine",
    "RawSolution",
    "SeriesElement",
    "engine_version",
    "run_in_stock",
    "shared_engine",
]

TOLERANCE: Final = 1e-9
"""Convergence tolerance of every solve, per unit."""
_MAX_ITERATIONS: Final = 200
_MAX_CONTROL_ITERATIONS: Final = 200
CONTROL_STATIC: Final = 0
LOCKED: Final = -1
_DAILY_MODE: Final = 1
_CONTROLS_EXCEEDED: Final = 485
_MANY_TIMES: Final = 1e3  # a voltage at which power passes every threshold
_ADMITTANCE: Final = 2  # load model of the solution
_WITH_DEFAULTS: Final = 1  # and with the data of files
_REUSE_SYMBOLIC_FACTORISATION: Final = 2
_WHOLE_MATRIX: Final = 2  # 1 is lines and transformers alone: loads would drop out
_KM: Final = {1: 1.609344, 2: 0.3048, 3: 1.0, 4: 1e-3, 5: 3.048e-4, 6: 2.54e-5, 7: 1e-5, 8: 1e-6}


@dataclass(frozen=True)
class ControlState:
    """Taps (per regulated winding) and capacitor states, with the voltages they started from."""

    taps: tuple[tuple[str, int, float], ...]
    capacitors: tuple[tuple[str, tuple[int, ...]], ...]
    voltages: np.ndarray


@dataclass(frozen=True)
class RawSolution:
    """One solved state.

    Parameters
    ----------
    volts
        Complex node voltages, ``[node]``, in the engine's node order.
    amps
        Complex currents into every conductor of every terminal of every enabled series or shunt
        element, ``[conductor]``, in the order of :meth:`Engine.series_elements`.
    source_kva
        Complex power from all sources into the feeder, kW + j kvar; positive is import.
    converged, controls_done
        Whether the iteration converged, and whether no control action was left.
    """

    volts: np.ndarray
    amps: np.ndarray
    source_kva: complex
    converged: bool
    controls_done: bool


@dataclass(frozen=True)
class SeriesElement:
    """A power-delivery element as the engine holds it.

    Parameters
    ----------
    name
        ``Line.l1``.
    buses
        Bus of each terminal.
    nodes
        For each terminal, the index of each conductor in the node order; -1 is ground. Empty for
        a disabled element.
    offset
        Where the element's conductors begin in :attr:`RawSolution.amps`, terminal by terminal.
    enabled
        Disabled elements take their place in ``amps`` and carry no current.
    """

    name: str
    buses: tuple[str, ...]
    nodes: tuple[tuple[int, ...], ...]
    offset: int
    enabled: bool


def engine_version() -> str:
    """Return the version of the binding and of the engine."""
    return f"OpenDSSDirect.py {opendssdirect.__version__}; {_module_context.Basic.Version()}"


@lru_cache(maxsize=1)
def shared_engine() -> Engine:
    """Return this process's engine; a second one would never give its memory back."""
    return Engine()


class Engine:
    """An isolated OpenDSS engine that holds one circuit at a time.

    Attributes
    ----------
    times_loaded
        How often a circuit was loaded: what was read of one holds while this stays.
    """

    def __init__(self) -> None:
        self.times_loaded = 0
        with chdir("."):  # the first context of a process goes back to where the process began
            self._context: Any = _module_context.NewContext()
        # the same context with arrays instead of lists: AllCurrents is 5x faster
        self._dss: Any = opendssdirect.OpenDSSDirect.OpenDSSDirect(
            self._context._api_util,  # noqa: SLF001
            prefer_lists=False,
        )
        self._reversing: list[tuple[str, str, int]] | None = None
        self._stored: list[tuple[float, int]] = []
        basic = self._dss.Basic
        basic.AllowChangeDir(False)
        basic.AllowForms(False)
        basic.AllowEditor(False)

    # -- loading ------------------------------------------------------------------------------

    def load(self, master: Path, commands: Iterable[str] = ()) -> None:
        """Clear, read an OpenDSS master file and run further commands.

        Raises
        ------
        InputError
            If the file is missing or empty or the engine refuses a line of it.
        FeederError
            If no circuit with at least one node results.
        """
        if not master.is_file():
            raise InputError(Problem(str(master), "no such OpenDSS master file"))
        self.times_loaded += 1
        self.run(["Clear", f'Redirect "{master.resolve().as_posix()}"'], where=str(master))
        if self._dss.Basic.NumCircuits() != 1:
            raise FeederError(
                f"{master}: holds {self._dss.Basic.NumCircuits()} circuits; one is expected"
            )
        self.run([*commands, "MakeBusList"], where=f"{master} (additions)")
        self._reversing = None
        storages = self._dss.Storages
        self._stored = [
            (float(storages.puSOC()), int(storages.State())) for _ in self._each(storages)
        ]
        solution = self._dss.Solution
        solution.Convergence(TOLERANCE)
        # a tap changes values of the matrix and never its pattern: 15 to 30 % of the time of a day
        self._dss.YMatrix.SolverOptions(_REUSE_SYMBOLIC_FACTORISATION)
        solution.MaxIterations(max(_MAX_ITERATIONS, solution.MaxIterations()))
        solution.MaxControlIterations(max(_MAX_CONTROL_ITERATIONS, solution.MaxControlIterations()))
        if not self._dss.Circuit.NumNodes():
            self.run(["CalcVoltageBases"], where=str(master))
        if not self._dss.Circuit.NumNodes():
            raise FeederError(f"{master}: the circuit has no nodes")

    def run(self, commands: Iterable[str], *, where: str) -> None:
        """Run text commands one by one.

        Raises
        ------
        InputError
            With the engine's own words, at the first line that it refuses.
        """
        for command in commands:
            try:
                self._dss.Text.Command(command)
            except opendssdirect.DSSException as error:
                message = " ".join(str(error).split())
                hint = f"while running: {command[:120]}"
                raise InputError(Problem(where, f"OpenDSS refuses it: {message}", hint)) from error

    def circuit(self) -> dict[str, Any]:
        """Return the circuit with the properties that the model *states*, defaults left out."""
        parsed: dict[str, Any] = json.loads(self._dss.Circuit.ToJSON(0))
        return parsed

    def load_shapes(self) -> dict[str, dict[str, Any]]:
        """Return the model's load shapes with their points, by lower-case name."""
        return {str(row["Name"]).lower(): row for row in self.properties("LoadShape")}

    # -- what is there ------------------------------------------------------------------------

    def node_names(self) -> list[str]:
        """Return node names (``bus.node``), lower case, in the order of all voltage arrays."""
        return [name.lower() for name in self._dss.Circuit.YNodeOrder()]

    def buses(self) -> list[tuple[str, float, float, float]]:
        """Return (name, line-to-neutral kV base, x, y) of every bus; NaN where not defined."""
        rows = []
        for number, name in enumerate(self._dss.Circuit.AllBusNames()):
            self._dss.Circuit.SetActiveBusi(number)
            bus = self._dss.Bus
            located = bool(bus.Coorddefined())
            x, y = (bus.X(), bus.Y()) if located else (np.nan, np.nan)
            rows.append((name.lower(), float(bus.kVBase()), float(x), float(y)))
        return rows

    def series_elements(self) -> list[SeriesElement]:
        """Return the power-delivery elements in the order of :attr:`RawSolution.amps`."""
        found = []
        offset = 0
        for name in self._dss.PDElements.AllNames():
            self._dss.Circuit.SetActiveElement(name)
            element = self._dss.CktElement
            terminals = element.NumTerminals()
            reference = element.NodeRef() if element.Enabled() else []
            conductors = element.NumConductors()
            nodes = tuple(
                tuple(node - 1 for node in reference[k * conductors : (k + 1) * conductors])
                for k in range(terminals)
            )
            buses = tuple(bus.split(".")[0].lower() for bus in element.BusNames())
            found.append(SeriesElement(name, buses, nodes, offset, bool(element.Enabled())))
            offset += terminals * conductors
        return found

    def conductor_count(self) -> int:
        """Return the length of :attr:`RawSolution.amps`."""
        elements = self._dss.PDElements
        return int(np.dot(elements.AllNumConductors(), elements.AllNumTerminals()))

    def loads(self) -> list[dict[str, Any]]:
        """Return every load with the figures in force, defaults included."""
        rows: list[dict[str, Any]] = []
        stated = {row["Name"].lower(): row for row in self.properties("Load")}
        loads = self._dss.Loads
        more = loads.First()
        while more:
            element = self._dss.CktElement
            rows.append(
                {
                    "name": loads.Name().lower(),
                    "bus": element.BusNames()[0].split(".")[0].lower(),
                    "nodes": tuple(node - 1 for node in element.NodeRef()),
                    "phases": loads.Phases(),
                    "delta": bool(loads.IsDelta()),
                    "kv": loads.kV(),
                    "kw": loads.kW(),
                    "kvar": loads.kvar(),
                    "model": int(loads.Model()),
                    "vminpu": loads.Vminpu(),
                    "vmaxpu": loads.Vmaxpu(),
                    "cvr_watts": loads.CVRwatts(),
                    "cvr_vars": loads.CVRvars(),
                    "vlowpu": float(stated[loads.Name().lower()]["VLowpu"]),
                    "status": str(stated[loads.Name().lower()]["Status"]).lower(),
                    "zipv": tuple(loads.ZipV()) if int(loads.Model()) == 8 else (),
                    "daily": loads.Daily().lower(),
                    "yearly": loads.Yearly().lower(),
                    "enabled": bool(element.Enabled()),
                }
            )
            more = loads.Next()
        return rows

    def lines(self) -> list[dict[str, Any]]:
        """Return impedance (positive sequence, ohm), length and ampacity in force of every line."""
        found: list[dict[str, Any]] = []
        lines = self._dss.Lines
        more = lines.First()
        while more:
            phases, length = lines.Phases(), lines.Length()
            r = np.asarray(lines.RMatrix()).reshape(phases, phases) * length
            x = np.asarray(lines.XMatrix()).reshape(phases, phases) * length
            found.append(
                {
                    "name": lines.Name().lower(),
                    "ohm": abs(complex(_positive_sequence(r), _positive_sequence(x))),
                    "km": length * _KM.get(int(lines.Units()), np.nan),
                    "norm_amps": float(lines.NormAmps()),
                    "switch": bool(lines.IsSwitch()),
                }
            )
            more = lines.Next()
        return found

    def transformers(self) -> list[dict[str, Any]]:
        """Return windings (kV, kVA, connection) and the short-circuit reactance in percent."""
        found: list[dict[str, Any]] = []
        transformers = self._dss.Transformers
        more = transformers.First()
        while more:
            windings = []
            for winding in range(1, transformers.NumWindings() + 1):
                transformers.Wdg(winding)
                windings.append(
                    (
                        float(transformers.kV()),
                        float(transformers.kVA()),
                        bool(transformers.IsDelta()),
                        float(transformers.Tap()),
                    )
                )
            found.append(
                {
                    "name": transformers.Name().lower(),
                    "phases": int(self._dss.CktElement.NumPhases()),
                    "windings": windings,
                    "xhl_pct": float(transformers.Xhl()),
                }
            )
            more = transformers.Next()
        return found

    # -- matrices -----------------------------------------------------------------------------

    def properties(self, class_name: str) -> list[dict[str, Any]]:
        """Return every element of a class with the properties in force, defaults included."""
        if not self._dss.Circuit.SetActiveClass(class_name):
            return []
        found: list[dict[str, Any]] = json.loads(self._dss.ActiveClass.ToJSON(_WITH_DEFAULTS))
        return found

    def element_names(self) -> list[str]:
        """Return the full names (``Line.l1``) of all enabled elements of the circuit."""
        names = []
        for name in self._dss.Circuit.AllElementNames():
            self._dss.Circuit.SetActiveElement(name)
            if self._dss.CktElement.Enabled():
                names.append(str(name))
        return names

    def load_multiplier(self) -> float:
        """Return the factor by which the model multiplies loads that are not fixed or exempt."""
        return float(self._dss.Solution.LoadMult())

    def frequency_hz(self) -> float:
        """Return the frequency that the circuit is solved at, Hz."""
        return float(self._dss.Solution.Frequency())

    def loads_are_admittances(self) -> bool:
        """Whether the model makes every load its nominal impedance (``Set LoadModel``)."""
        return int(self._dss.Solution.LoadModel()) == _ADMITTANCE

    def source_amps(self) -> np.ndarray:
        """Return the complex current that the voltage sources inject, ``[node]``, after a solve."""
        matrix = self._dss.YMatrix
        matrix.ZeroInjCurr()
        matrix.GetSourceInjCurrents()
        return np.array(matrix.getI()).view(complex)[1:]

    def primitive(self, name: str) -> tuple[tuple[int, ...], np.ndarray]:
        """Return the nodes of an element's conductors, ground -1, and its matrix in siemens."""
        self._dss.Circuit.SetActiveElement(name)
        element = self._dss.CktElement
        nodes = tuple(int(node) - 1 for node in element.NodeRef())
        matrix = np.array(element.YPrim()).view(complex).reshape(len(nodes), -1, order="F")
        return nodes, matrix

    def nodes(self, name: str) -> tuple[int, ...]:
        """Return the node of each conductor of an element, ground -1."""
        self._dss.Circuit.SetActiveElement(name)
        return tuple(int(node) - 1 for node in self._dss.CktElement.NodeRef())

    def act(self) -> bool:
        """Let regulators and banks act once on the solution; return whether any had to."""
        solution = self._dss.Solution
        solution.ControlMode(CONTROL_STATIC)
        solution.SampleControlDevices()
        if not self._dss.CtrlQueue.QueueSize():
            return False
        solution.DoControlActions()
        return True

    def given_kva(self, name: str) -> complex:
        """Return what a generator, PV system or storage is set to inject at the step solved last.

        Its power within its voltage limits, kW + j kvar, whatever the voltage is.
        """
        kind, _, short = name.lower().partition(".")
        if kind == "storage":
            self._dss.Circuit.SetActiveElement(name)
            values = (self._dss.Properties.Value(which) for which in ("kw", "kvar"))
            return complex(*(float(value) for value in values))
        api = self._dss.Generators if kind == "generator" else self._dss.PVsystems
        api.Name(short)
        return complex(api.kW(), api.kvar())

    def phases(self, name: str) -> tuple[int, int]:
        """Return the number of phases of an element, and of conductors at each terminal."""
        self._dss.Circuit.SetActiveElement(name)
        element = self._dss.CktElement
        return int(element.NumPhases()), int(element.NumConductors())

    def move(
        self,
        taps: Iterable[tuple[str, int, float]] = (),
        capacitors: Iterable[tuple[str, Sequence[int]]] = (),
    ) -> None:
        """Set taps and banks and build the matrix, without which primitive matrices stay as read.

        Parameters
        ----------
        taps
            Transformer, winding and tap per unit.
        capacitors
            Bank, and whether each of its steps is in (1) or out (0).
        """
        for name, states in capacitors:
            self._dss.Capacitors.Name(name)
            self._dss.Capacitors.States(list(states))
        transformers = self._dss.Transformers
        for name, winding, tap in taps:
            transformers.Name(name)
            transformers.Wdg(winding)
            transformers.Tap(tap)
        self._dss.Solution.BuildYMatrix(_WHOLE_MATRIX, 0)

    def capacitor_states(self, name: str) -> tuple[int, ...]:
        """Return whether each step of a bank is in (1) or out (0)."""
        self._dss.Capacitors.Name(name)
        return tuple(int(state) for state in self._dss.Capacitors.States())

    # -- state --------------------------------------------------------------------------------

    def taps(self, windings: Sequence[tuple[str, int]]) -> list[float]:
        """Return the tap of each (transformer, winding), per unit."""
        transformers, found = self._dss.Transformers, []
        for name, winding in windings:
            transformers.Name(name)
            transformers.Wdg(winding)
            found.append(float(transformers.Tap()))
        return found

    def control_state(self, windings: Sequence[tuple[str, int]]) -> ControlState:
        """Return taps, capacitor states and voltages as they are now."""
        states = [(name, self.capacitor_states(name)) for name in self._dss.Capacitors.AllNames()]
        taps = tuple(
            (name, winding, tap)
            for (name, winding), tap in zip(windings, self.taps(windings), strict=True)
        )
        return ControlState(taps, tuple(states), self._volts().copy())

    def restore(self, state: ControlState, step: int, step_hours: float) -> None:
        """Put taps, capacitors, controls, voltages and the system matrix back, to the bit.

        The engine writes the loads' admittance at the present hour into the system matrix whenever
        it builds it. The solution does not depend on that, its last bits do: so the matrix is built
        at a given ``step`` of the load shapes, which must be the same for every unit of a day.
        """
        self._at(step + 1, step_hours)
        self._look_forward(state.voltages)
        self._dss.Text.Command("Reset Controls")
        self._dss.Solution.ControlMode(CONTROL_STATIC)
        self.move(state.taps, state.capacitors)
        self._volts()[:] = state.voltages

    def _look_forward(self, volts: np.ndarray) -> None:
        """Make every reversible regulator look forward again, which ``Reset Controls`` does not.

        Nothing but its own sampling turns a regulator round. So each is shown voltages at which
        much power goes forward, and what it then asks for is done, until it asks for no more;
        taps and banks are put back after this.
        """
        for control, transformer, winding in self._reversible():
            solution, element = self._dss.Solution, self._dss.CktElement
            solution.ControlMode(LOCKED)
            solution.SolvePFlow()  # so that currents are not those of the voltages before
            self._dss.Circuit.SetActiveElement(transformer)
            conductors = element.NumConductors()
            nodes = np.array(element.NodeRef()[(winding - 1) * conductors : winding * conductors])
            shown = volts * _MANY_TIMES
            shown[nodes[nodes > 0]] *= np.exp(-1j)
            self._volts()[:] = shown
            solution.ControlMode(CONTROL_STATIC)
            others = [name for name in self._controls() if name != control]
            self._enable(others, enabled=False)
            for _ in range(_MAX_CONTROL_ITERATIONS):
                solution.SampleControlDevices()
                if not self._dss.CtrlQueue.QueueSize():
                    break
                solution.DoControlActions()
            self._enable(others, enabled=True)
            self._dss.Text.Command("Reset Controls")

    def _reversible(self) -> list[tuple[str, str, int]]:
        """Return (control, transformer, sensed winding) of regulators that can look backwards."""
        if self._reversing is None:
            self._reversing = [
                (f"regcontrol.{row['Name']}".lower(), f"Transformer.{row['Transformer']}",
                 int(row["Winding"]))
                for row in self.properties("RegControl")
                if row["Enabled"] and (row["Reversible"] or row["Cogen"]) and not row["Bus"]
            ]  # fmt: skip
        return self._reversing

    def _controls(self) -> list[str]:
        """Return the names of all enabled regulator and capacitor controls."""
        return [
            name.lower()
            for name in self.element_names()
            if name.lower().startswith(("regcontrol.", "capcontrol."))
        ]

    def _enable(self, names: Sequence[str], *, enabled: bool) -> None:
        for name in names:
            self._dss.Circuit.SetActiveElement(name)
            self._dss.CktElement.Enabled(enabled)

    def _volts(self) -> np.ndarray:
        """Return the engine's own voltage vector, ground first, as a writable view."""
        size = 16 * (self._dss.Circuit.NumNodes() + 1)
        ffi = self._dss.YMatrix._api_util.ffi  # noqa: SLF001  # the binding offers a copy only
        return np.frombuffer(ffi.buffer(self._dss.YMatrix.VVector(), size), dtype=complex)

    # -- shapes and solving -------------------------------------------------------------------

    def set_shape(self, name: str, p: np.ndarray, q: np.ndarray) -> None:
        """Replace the multipliers of a load shape; its length follows ``p``."""
        shape = self._dss.LoadShape
        shape.Name(name)
        shape.Npts(len(p))
        shape.PMult(p)
        shape.QMult(q)

    def start_series(self, step_hours: float) -> None:
        """Enter daily mode with the given step."""
        self._dss.Solution.Mode(_DAILY_MODE)
        self._dss.Solution.Number(1)
        self._dss.Solution.StepSizeHr(step_hours)

    def solve(self, step: int, step_hours: float, controls: int = CONTROL_STATIC) -> RawSolution:
        """Solve element ``step`` of the load shapes.

        Returns
        -------
        RawSolution
            With ``converged`` and ``controls_done`` as found; this never raises for a solution
            that is not one.
        """
        solution = self._dss.Solution
        solution.ControlMode(controls)
        self._at(step, step_hours)
        settled = True
        try:
            solution.Solve()
        except opendssdirect.DSSException as error:
            settled = False
            if error.args[0] != _CONTROLS_EXCEEDED:
                return self._unsolved()
        circuit = self._dss.Circuit
        power = np.asarray(circuit.TotalPower()).view(complex)[0]
        return RawSolution(
            volts=self._volts()[1:].copy(),
            amps=np.asarray(self._dss.PDElements.AllCurrents()).view(complex),
            source_kva=-complex(power),
            converged=bool(solution.Converged()),
            controls_done=settled and bool(solution.ControlActionsDone() or controls == LOCKED),
        )

    def _each(self, api: Any) -> Iterator[None]:
        """Make one element of a class after the other the active one."""
        more = api.First()
        while more:
            yield
            more = api.Next()

    def _at(self, step: int, step_hours: float) -> None:
        """Set the clock; a solve then begins by moving it on by one step.

        A solve also moves the charge of storage on, so that a result would depend on what was
        solved before: storage begins every step as the model states it.
        """
        storages = self._dss.Storages
        for (charge, state), _ in zip(self._stored, self._each(storages), strict=True):
            storages.puSOC(charge)
            if storages.State() != state:
                storages.State(state)
        hours = step * step_hours
        whole = int(hours + 1e-9)
        self._dss.Solution.Hour(whole)
        self._dss.Solution.Seconds((hours - whole) * 3600)

    def _unsolved(self) -> RawSolution:
        """Return a solution that can only be judged invalid."""
        nodes = self._dss.Circuit.NumNodes()
        amps = self.conductor_count()
        blank = complex(np.nan, np.nan)
        return RawSolution(
            np.full(nodes, blank), np.full(amps, blank), blank, converged=False, controls_done=False
        )


def _positive_sequence(matrix: np.ndarray) -> float:
    """Return mean self minus mean mutual impedance."""
    phases = len(matrix)
    own = float(np.trace(matrix)) / phases
    if phases == 1:
        return own
    mutual = float(matrix.sum() - np.trace(matrix)) / (phases * (phases - 1))
    return own - mutual


def run_in_stock(engine: str, script: Path) -> None:
    """Run a script in OpenDSS as everybody has it, with none of this module's settings.

    Call it in a process of its own: the engine changes the working directory and writes where the
    script says.

    Parameters
    ----------
    engine
        ``opendssdirect`` (this package's own engine) or ``py_dss_interface`` (EPRI's, where
        installed).
    script
        Script whose commands are known to be harmless: nothing is refused here.

    Raises
    ------
    FeederError
        With the engine's words, if it stops at a line.
    """
    os.chdir(script.parent)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # EPRI's engine tells of every step
    command = f'Compile "{script.as_posix()}"'
    try:
        if engine == "opendssdirect":
            _module_context.Text.Command(command)
        else:
            import py_dss_interface  # noqa: PLC0415  # not everywhere, and a second native engine

            py_dss_interface.DSS().text(command)
    except Exception as error:  # whatever the binding of the day raises
        words = " ".join(str(error).split())
        raise FeederError(f"{script.name} in {engine}: {words[:300]}") from error
