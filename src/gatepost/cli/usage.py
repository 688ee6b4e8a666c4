"""How a command is called: the parameters of its function are its arguments and options.

    @app.command()
    def show(ctx: usage.Context, id: Annotated[str, usage.Argument(metavar="ID", help="…")]) -> None:

A thin layer over click. Nothing is read of a function before its command is called, so that a
command pays for its own options only.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

import click
from click import Context, confirm, echo, prompt, style
from click.exceptions import Exit, NoSuchCommand

__all__ = [
    "Argument", "Commands", "Context", "Exit", "Group", "Option", "confirm", "echo", "prompt",
    "style",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., None])

#: Both ways of asking, as for every command.
CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@dataclass(frozen=True, slots=True)
class Argument:
    """A parameter that goes by its place. It may be left out where the function has a default."""

    metavar: str = ""
    help: str = ""


@dataclass(frozen=True, slots=True, init=False)
class Option:
    """A parameter that goes by a name; repeatable where it is a list."""

    names: tuple[str, ...]
    metavar: str | None
    help: str
    min: int | None
    max: int | None

    def __init__(
        self,
        *names: str,
        metavar: str | None = None,
        help: str = "",  # noqa: A002
        min: int | None = None,  # noqa: A002
        max: int | None = None,  # noqa: A002
    ) -> None:
        """Take the names as they are written: "-c", "--config"."""
        for name, value in (
            ("names", names), ("metavar", metavar), ("help", help), ("min", min), ("max", max),
        ):  # fmt: skip
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True)
class _Named:
    name: str | None
    help: str | None
    function: Callable[..., None]


@dataclass(slots=True)
class Commands:
    """The commands of one module: a group of them where it has a `help` of its own, else one."""

    help: str | None = None
    _named: list[_Named] = field(default_factory=list)
    _groups: dict[str, "Commands"] = field(default_factory=dict)

    def command(self, name: str | None = None, *, help: str | None = None) -> Callable[[F], F]:  # noqa: A002
        """Make a command of a function; called as the function is, said as its docstring."""

        def add(function: F) -> F:
            self._named.append(_Named(name, help, function))
            return function

        return add

    def add(self, group: "Commands", name: str) -> None:
        """Put a group below this one."""
        self._groups[name] = group

    def build(self, name: str) -> click.Command:
        """Return what click calls, by the name that it goes by here."""
        if self.help is None:
            return _command(name, self._named[0])
        return Group(name, self.help, self._words(), self._get)

    def _words(self) -> dict[str, str]:
        own = {_name(n): inspect.cleandoc(n.help or n.function.__doc__ or "") for n in self._named}
        return own | {name: group.help or "" for name, group in self._groups.items()}

    def _get(self, name: str) -> click.Command:
        if name in self._groups:
            return self._groups[name].build(name)
        return _command(name, next(n for n in self._named if _name(n) == name))


class Group(click.Group):
    """Knows its commands by name and words, and makes only the one that is called."""

    def __init__(
        self,
        name: str,
        help: str,  # noqa: A002
        words: dict[str, str],
        get: Callable[[str], click.Command],
        **more: Any,  # noqa: ANN401 - click's own
    ) -> None:
        """Take the words by name, in the order of the help."""
        super().__init__(name, help=help, no_args_is_help=True, context_settings=CONTEXT, **more)
        self._words = words
        self._get = get

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002
        """Return the names, in the order of the help."""
        return list(self._words)

    def get_command(self, ctx: Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return one command; None for a name that there is not."""
        return self._get(cmd_name) if cmd_name in self._words else None

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that was named; for a name that there is not, say which is near it."""
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:
            raise NoSuchCommand(error.command_name, possibilities=self._words, ctx=ctx) from None

    def format_commands(self, ctx: Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands into the help, without making them."""
        with formatter.section("Commands"):
            formatter.write_dl([(n, w.partition("\n\n")[0]) for n, w in self._words.items()])


class _Command(click.Command):
    """Ends its help with examples, where there are some."""

    def format_epilog(self, ctx: Context, formatter: click.HelpFormatter) -> None:
        """Write them as they are typed."""
        from gatepost.cli.examples import EXAMPLES  # noqa: PLC0415

        path = ctx.command_path.removeprefix(ctx.find_root().command_path).strip()
        if examples := EXAMPLES.get(path):
            with formatter.section("Examples"):
                formatter.write("".join(f"{'':{formatter.current_indent}}{e}\n" for e in examples))


def _name(named: _Named) -> str:
    return named.name or named.function.__name__.rstrip("_").replace("_", "-")


def _command(name: str, named: _Named) -> click.Command:
    function = named.function
    parameters = list(inspect.signature(function).parameters.values())
    wanted = {p.name: _read(p) for p in parameters if get_origin(p.annotation) is Annotated}

    def call(**given: Any) -> None:  # noqa: ANN401
        values = {key: wanted[key].value(value) for key, value in given.items()}
        if len(wanted) < len(parameters):  # the first is the context
            function(click.get_current_context(), **values)
        else:
            function(**values)

    return _Command(
        name,
        callback=call,
        params=[each.parameter for each in wanted.values()],
        help=named.help or function.__doc__,
        context_settings=CONTEXT,
    )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One parameter, and how what was given for it becomes the function's."""

    parameter: click.Parameter
    kind: type
    many: bool
    default: object

    def value(self, given: Any) -> Any:  # noqa: ANN401
        """Return what the function is called with."""
        if self.many:
            return list(given) if given else self.default
        if issubclass(self.kind, Enum) and isinstance(given, str):
            return self.kind(given)
        return given


def _read(parameter: inspect.Parameter) -> _Wanted:
    annotation, said = get_args(parameter.annotation)
    kind, many = _kind(annotation)
    required = parameter.default is parameter.empty
    default = ([] if many else None) if required else parameter.default
    settings: dict[str, Any] = {"required": required, "metavar": said.metavar or None}
    if not many and not required:
        settings["default"] = default.value if isinstance(default, Enum) else default
    if isinstance(said, Argument):
        made: click.Parameter = click.Argument(
            [parameter.name],
            help=said.help,
            type=_type(kind, None, None),
            nargs=-1 if many else 1,
            **settings,
        )
    else:
        made = _option(parameter.name, said, kind, {**settings, "multiple": many})
    return _Wanted(made, kind, many, default)


def _kind(annotation: Any) -> tuple[type, bool]:  # noqa: ANN401
    """Return the type of one value, and whether there may be many: `list[str] | None` is str, many."""
    if get_origin(annotation) is UnionType:
        annotation = next(a for a in get_args(annotation) if a is not NoneType)
    if get_origin(annotation) is list:
        return get_args(annotation)[0], True
    return annotation, False


def _option(name: str, said: Option, kind: type, settings: dict[str, Any]) -> click.Parameter:
    if kind is bool:
        settings = {"is_flag": True, "default": settings["default"]}
    shown = settings.get("default") not in {None, "", False} or None
    return click.Option(
        [name, *said.names],
        help=said.help,
        type=None if kind is bool else _type(kind, said.min, said.max),
        show_default=shown,
        **settings,
    )


def _type(kind: type, least: int | None, most: int | None) -> click.ParamType[Any]:
    if issubclass(kind, Enum):
        return click.Choice([member.value for member in kind])
    if issubclass(kind, Path):
        return click.Path(path_type=kind)
    if kind is int:
        return click.IntRange(least, most) if (least, most) != (None, None) else click.INT
    return _TEXT


class _Text(click.types.StringParamType):
    """A text, which octets that are not UTF-8 are none of. (A path may have them.)"""

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's own
        param: click.Parameter | None,
        ctx: Context | None,
    ) -> str:
        """Return it, or say that it is none."""
        text = str(super().convert(value, param, ctx))
        if not is_text(text):
            self.fail("it is not UTF-8 text", param, ctx)
        return text


_TEXT: Final = _Text()


def is_text(value: str) -> bool:
    """Tell whether it has no half of a surrogate pair, as which Python gives octets that are no UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
