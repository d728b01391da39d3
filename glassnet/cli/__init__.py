"""The command line: verbs -> functions. Heavy imports happen inside the verbs."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from glassnet import references
from glassnet.errors import UserError, nearest
from glassnet.version import __version__

Answer = dict[str, Any]


class Parser(argparse.ArgumentParser):
    """Reports mistakes as UserError, so that ``--json`` holds for them too."""

    def error(self, message: str) -> NoReturn:
        """Refuse what was typed."""
        raise UserError(
            f"{message[:1].upper()}{message[1:]}. `{self.prog} --help` shows what fits."
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0, 2 for bad input, 130 if interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = _note  # type: ignore[assignment]
            return _run(words)
    except UserError as error:
        if as_json:
            _print(json.dumps({"error": str(error)}, ensure_ascii=False))
        else:
            sys.stderr.write(f"glassnet: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nglassnet: interrupted\n")
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `glassnet runs | head`
        sys.stderr.close()
        return 0


def _note(message: Warning | str, *_: object) -> None:
    sys.stderr.write(f"note: {message}\n")


def _run(words: list[str]) -> int:
    parser, verbs = build_parser()
    if words and not words[0].startswith("-") and words[0] not in verbs:
        raise UserError(
            f"There is no command {words[0]!r}.{nearest(words[0], verbs)} "
            f"Commands: {', '.join(verbs)}."
        )
    if not words or words[0] in ("-h", "--help"):
        _print(parser.format_help())
        return 0
    words = [references.hidden(word) for word in words]  # before anything can show them
    own, flags = split_words(words, verbs.get(words[0]))
    # Intermixed, so that files may stand behind options, as in `explain RUN -o page.html IMAGE`.
    verb = verbs.get(own[0])
    options = parser.parse_args(own) if verb is None else verb.parse_intermixed_args(own[1:])
    options.knobs = parse_flags(flags)
    return int(options.act(options))


def split_words(
    words: list[str], parser: argparse.ArgumentParser | None
) -> tuple[list[str], list[str]]:
    """Part the words that a command declares from the flags of knobs, wherever they stand."""
    if parser is None or not parser.get_default("takes_knobs"):
        return words, []
    own: list[str] = []
    flags: list[str] = []
    waits = False  # for the value of a flag
    for word in words:
        is_flag = word.startswith("--") and word.partition("=")[0] not in _declared(parser)
        (flags if is_flag or (waits and not word.startswith("--")) else own).append(word)
        waits = is_flag and "=" not in word
    return own, flags


def _declared(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}


def parse_flags(words: list[str]) -> dict[str, Any]:
    """Turn ``--fit.lr 0.1 --network=lenet`` into a dictionary of knobs."""
    from glassnet.recipe import Flag

    found: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        name, equals, text = word[2:].partition("=")
        name = name.replace("-", "_")
        value = text if equals else next(rest, None)
        if value is None or (not equals and value.startswith("--")):
            raise UserError(f"--{name} needs a value.")
        found[name] = Flag(value)  # of a flag given twice the last one counts, as everywhere
    return found


def build_parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """All commands and their own options; the knobs of recipes come from their schema."""
    from glassnet.cli import verbs

    top = Parser(
        prog="glassnet",
        description="Deep networks you can see through: from data to a measured, reusable network.",
        epilog="The three knobs to know: --fit.batch_size, --fit.lr, --fit.epochs. "
        "`glassnet train --help` lists all.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"glassnet {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    made: dict[str, argparse.ArgumentParser] = {}
    for verb in verbs.VERBS:
        sub = commands.add_parser(
            verb.name,
            help=verb.help.replace("%", "%%"),
            description=verb.help,
            allow_abbrev=False,
            add_help=False,
        )
        sub.formatter_class = argparse.RawDescriptionHelpFormatter
        sub.add_argument("-h", "--help", action=_Help, more=verb.more_help, help="show this help")
        sub.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
        for words, settings in verb.arguments:
            sub.add_argument(*words, **settings)
        sub.set_defaults(act=verb.act, takes_knobs=verb.takes_knobs)
        made[verb.name] = sub
    return top, made


class _Help(argparse.Action):
    """Prints the help of a command; that of the knobs is only built when it is asked for."""

    def __init__(
        self, option_strings: list[str], dest: str, more: Callable[[], str] | None, help: str
    ) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)
        self.more = more

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        parser.epilog = self.more() if self.more else None
        parser.print_help()
        parser.exit()


def _print(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")
