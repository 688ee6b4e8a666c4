"""Gives dataclasses an `__init__` that is written out, in the copy of the sources that is compiled.

What `dataclass` makes at run time is Python however its class is compiled: making the values of one
message took a twentieth of its time. mypyc makes a constructor of an `__init__` that it can read. Nothing
else changes: `dataclass` leaves an `__init__` alone that is there, and `frozen` is what it was.
"""

import ast

_MAKES = frozenset({"dataclass", "value"})


def write_inits(source: str) -> str:
    """Return a module's source with `__init__` in each of its dataclasses; what is inherited from, or
    has a field whose making cannot be told from here, is as it was.
    """
    lines = source.splitlines(keepends=True)
    classes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    for node in sorted(classes, key=lambda node: node.lineno, reverse=True):
        if _is_dataclass(node) and (written := _init(node)) and node.end_lineno is not None:
            indent = " " * (node.col_offset + 4)
            lines[node.end_lineno : node.end_lineno] = [f"{indent}{line}\n" for line in written]
    return "".join(lines)


def _is_dataclass(node: ast.ClassDef) -> bool:
    made = any(
        isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id in _MAKES
        for each in node.decorator_list
    )
    return made and not node.bases and not node.keywords


def _init(node: ast.ClassDef) -> list[str]:
    """Return the lines of a class's `__init__`, none where it has one or needs more than we know."""
    methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
    if "__init__" in methods:
        return []
    parameters, sets = ["self"], []
    for field in node.body:
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        name, kind = field.target.id, ast.unparse(field.annotation)
        if kind.startswith("ClassVar"):
            continue
        given = {} if field.value is None else _field(field.value)
        if given is None or kind.startswith("InitVar"):
            return []
        if given.get("init") == "False":
            continue
        if factory := given.get("default_factory"):
            if "None" in kind:
                return []
            parameters.append(f"{name}: {kind} | None = None")
            sets.append(f"self.{name} = ({factory})() if {name} is None else {name}")
        else:
            default = f" = {given['default']}" if "default" in given else ""
            parameters.append(f"{name}: {kind}{default}")
            sets.append(f"self.{name} = {name}")
    if "__post_init__" in methods:
        sets.append("self.__post_init__()")
    head = f"def __init__({', '.join(parameters)}) -> None:"
    # To mypy the fields of a frozen one cannot be set, here neither.
    return ["", head, *(f"    {line}  # type: ignore[misc]" for line in sets or ["pass"])]


def _field(value: ast.expr) -> dict[str, str] | None:
    """Return what is said of a field: its default, or the arguments of `field`; None: too much."""
    if not (isinstance(value, ast.Call) and ast.unparse(value.func) == "field"):
        return {"default": ast.unparse(value)}
    if value.args:
        return None
    given = {each.arg: ast.unparse(each.value) for each in value.keywords if each.arg}
    return None if "kw_only" in given else given
