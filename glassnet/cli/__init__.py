"""The command line: verbs -> functions. Heavy imports happen inside the verbs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

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
    options, rest = parser.parse_known_args(words)
    options.knobs = parse_flags(rest, verbs[words[0]])
    return int(options.act(options))


def parse_flags(rest: list[str], parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Turn ``--fit.lr 0.1 --network=lenet`` into a dictionary of knobs."""
    takes_knobs = parser.get_default("takes_knobs")
    found: dict[str, Any] = {}
    words = iter(rest)
    for word in words:
        if not word.startswith("--") or not takes_knobs:
            raise UserError(f"{word!r} is not understood. `{parser.prog} --help` shows what fits.")
        name, equals, text = word[2:].partition("=")
        value = text if equals else next(words, None)
        if value is None:
            raise UserError(f"--{name} needs a value.")
        from glassnet.recipe import Flag

        if name in found:
            raise UserError(f"--{name} is given twice.")
        found[name] = Flag(value)
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
