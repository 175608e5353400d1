"""What a model may say: the commands, options and properties of a description of a feeder.

Everything here is a list of what is allowed; where a property is refused by name
(:data:`_REFUSED_PROPERTIES`), the lists of all properties in :mod:`.scan_names` stand behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from v2g_feeder.errors import nearest
from v2g_feeder.feeder.scan_names import COMMANDS, OPTIONS, PROPERTIES, expand, words
from v2g_feeder.feeder.scan_text import Refused, parameters

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from v2g_feeder.feeder.scan_text import Parameter

__all__ = [
    "COMMANDS_ALLOWED",
    "EDITING",
    "OBJECT_COMMANDS",
    "OPTIONS_ALLOWED",
    "bus_names",
    "check_option",
    "check_property",
    "property_of",
    "refuse_command",
]

COMMANDS_ALLOWED: Final = frozenset(
    words("""
    new edit ~ more m clear clearall set calcvoltagebases redirect compile buscoords
    latlongcoords setkvbase setbusxy solve enable disable open close batchedit makebuslist
    select addbusmarker clearbusmarkers interpolate reset ? var allocateloads sample init
    buildy reprocessbuses summary
    """)
)
"""Commands that a model may hold."""

OBJECT_COMMANDS: Final = frozenset(words("new edit batchedit select enable disable open close"))
"""Commands whose first value is ``class.name``."""

EDITING: Final = frozenset(("new", "edit", "batchedit"))
"""Commands that set properties."""

OPTIONS_ALLOWED: Final = frozenset(
    words("""
    hour sec year frequency stepsize h mode random number time tolerance maxiterations
    miniterations loadmodel loadmult normvminpu normvmaxpu emergvminpu emergvmaxpu %mean
    %stddev ldcurve %growth genkw genpf capkvar allowduplicates zonelock ueweight lossweight
    ueregs lossregs voltagebases algorithm trapezoidal autobuslist controlmode genmult
    defaultdaily defaultyearly allocationfactors cktmodel pricesignal pricecurve basefrequency
    harmonics maxcontroliter keeplist %normal markercode nodewidth cfactors numallociterations
    defaultbasefrequency markswitches switchmarkercode daisysize marktransformers
    transmarkercode transmarkersize loadshapeclass earthmodel markcapacitors markregulators
    markpvsystems markstorage capmarkercode regmarkercode pvmarkercode storemarkercode
    capmarkersize regmarkersize pvmarkersize storemarkersize neglectloady markfuses
    fusemarkercode fusemarkersize markreclosers reclosermarkercode reclosermarkersize
    markrelays relaymarkercode relaymarkersize sampleenergymeters keepload zmag seasonrating
    seasonsignal linetypes eventlogdefault longlinecorrection
    """)
)
"""Options of Set and Solve that a model may give."""

_OPTIONS_SWITCHED_OFF: Final = frozenset(
    words("""
    demandinterval diverbose log recorder overloadreport voltexceptionreport showexport
    querylog tracecontrol showreports concatenatereports registryupdate
    """)
)
"""Options that write files or start programs; a model may only switch them off."""

_MODES: Final = words("snapshot daily yearly direct dutycycle time peakday ld1 ld2 general")

_REFUSED_PROPERTIES: Final = frozenset(
    words("usermodel userdata shaftmodel shaftdata dynadll dynadata")
)
_ACTIONS: Final = {
    "loadshape": "n",
    "tshape": "n",
    "priceshape": "n",
    "energymeter": "ct",
    "monitor": "ctpr",
}
"""First letters of the actions that write nothing, for the classes that have one that does."""

_MAX_COUNT: Final = {
    "npts": 10_000_000,
    "phases": 100,
    "nphases": 100,
    "nconds": 100,
    "windings": 100,
    "numsteps": 10_000,
    "numharm": 10_000,
    "nvariables": 10_000,
    "ndc": 100,
    "numtaps": 100_000,
    "seasons": 10_000,
}
_BUSES: Final = frozenset(("bus", "bus1", "bus2", "bush", "busnh", "busx", "busnx", "monbus"))
_OUTPUT: Final = frozenset(
    words("""
    show plot export save dump visualize fileedit formedit doscmd di_plot comparecases
    yearlycurves closedi exportoverloads exportvviolations alignfile _showcontrolqueue
    distribute rephase cvrtloadshapes uuids top help panel about
    """)
)


def refuse_command(written: str, name: str) -> NoReturn:
    """Say why a command is not taken; ``name`` is what it abbreviates, empty if unknown."""
    if not name:
        hint = nearest(written, [*COMMANDS, *PROPERTIES])
        raise Refused(f"unknown command {written[:60]!r}", hint or _all(COMMANDS_ALLOWED))
    shown = next(command for command in COMMANDS if command.lower() == name)
    short = "" if written.lower() == name else f" (written {written!r})"
    if name in _OUTPUT:
        message = (
            f"{shown}{short} writes, shows or starts something; a model only describes a feeder"
        )
        raise Refused(message, "remove this line or put ! before it")
    raise Refused(f"{shown}{short} is not allowed in a model", _all(COMMANDS_ALLOWED))


def _all(names: frozenset[str]) -> str:
    return "allowed: " + ", ".join(sorted(names))


def property_of(kind: str, name: str, position: int) -> tuple[str, int]:
    """Return the property (lower case) and its position, from its name or the position before."""
    known = PROPERTIES[kind]
    if not name:
        if position >= len(known):
            raise Refused(f"a {kind} has no property number {position + 1}")
        return known[position].lower(), position + 1
    prop = expand(name, known)
    if not prop:
        raise Refused(f"a {kind} has no property {name[:60]!r}", nearest(name, known))
    return prop, [entry.lower() for entry in known].index(prop) + 1


def check_property(kind: str, prop: str, value: str) -> None:
    """Refuse what loads code, writes files or exhausts the memory."""
    if prop in _REFUSED_PROPERTIES:
        hint = "remove it: study models use the models built into OpenDSS"
        raise Refused(f"{prop} of a {kind} loads a user-written library", hint)
    if prop == "debugtrace" and value[:1].lower() not in {"n", "f", "0"}:
        raise Refused(f"debugtrace={value} writes a file at each step", "remove it")
    if prop == "action" and kind in _ACTIONS and value[:1].lower() not in set(_ACTIONS[kind]):
        raise Refused(f"action={value} of a {kind} writes a file", "remove it")
    if prop in _MAX_COUNT:
        try:
            count = float(value)
        except ValueError:
            raise Refused(f"{prop}={value[:60]}: a plain number expected") from None
        if not count <= _MAX_COUNT[prop]:
            raise Refused(f"{prop}={value}: at most {_MAX_COUNT[prop]:,} is allowed")


def check_option(item: Parameter) -> None:
    """Refuse options of Set and Solve that a model does not need."""
    if not item.name:
        raise Refused(f"{item.value[:60]!r}: name=value expected in Set and Solve")
    name = expand(item.name, OPTIONS)
    if name == "mode" and not any(mode.startswith(item.value.lower()) for mode in _MODES):
        raise Refused(
            f"mode={item.value} is not allowed in a model", "allowed: " + ", ".join(_MODES)
        )
    if name in OPTIONS_ALLOWED:
        return
    if name in _OPTIONS_SWITCHED_OFF:
        if item.value[:1].lower() in {"n", "f", "0"}:
            return
        raise Refused(f"Set {name}={item.value[:60]} writes files", "remove this line or give no")
    if not name:
        hint = nearest(item.name, OPTIONS)
        raise Refused(f"unknown option {item.name[:60]!r} of Set or Solve", hint)
    short = "" if item.name.lower() == name else f" (written {item.name!r})"
    raise Refused(f"Set {name}{short} is not allowed in a model", "remove this line")


def bus_names(prop: str, value: str, variables: Mapping[str, str]) -> Iterator[str]:
    """Yield the buses that a property names, without their nodes, as written."""
    if prop in _BUSES:
        words = [value]
    elif prop == "buses":
        words = [item.value for item in parameters(value, variables)]
    else:
        return
    for word in words:
        name = word.partition(".")[0].strip()
        if name:
            yield name
