"""Change the library line by line, and count how many of the changes its tests notice.

    python tools/mutants.py --modules formats mse onnx_model.graph --sample 150

mutmut writes the changed functions into `mutants/`. Each of them then runs in a fork of a process that has
collected the tests and run none: those that call the function, the likely ones first, until one fails or
they have taken so many seconds of processor time. A change that survives is a hole in the tests, or it
changes nothing that can be seen: a default written out, a check that comes twice, a bound that only saves
time.

The sample of a module has a fixed seed, and a larger one holds the smaller. Changes of nothing but text (what
an exception or a warning says, the name that a check is given for that, the type in a cast) and of `strict`
in a zip are left out unless `--text` asks for them: whole messages are not tested. Fails if fewer than 95 of
100 of the changes are noticed.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import functools
import gc
import json
import os
import random
import resource
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeVar

import pytest
from _pytest.runner import runtestprotocol
from mutmut import __main__ as mutmut
from mutmut.configuration import config
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

LEAST = 95.0  # percent
MEMORY = 4 << 30  # bytes that a change may take
RESULTS = Path("results.json")
COVER = Path("cover.json")
T = TypeVar("T")


# --- which changes there are --------------------------------------------------------------------------------


def generate(modules: list[str], text: bool) -> dict[str, list[str]]:
    """Write the mutants of all modules; return the names of those of some, by module."""
    set_mutant_under_test("mutant_generation")
    Path("mutants").mkdir(exist_ok=True)
    mutmut.copy_src_dir()
    mutmut.copy_also_copy_files()
    mutmut.setup_source_paths()
    mutmut.create_mutants(2)
    names = defaultdict(list)
    for data, name, _ in mutmut.collect_source_file_mutation_data(mutant_names=[])[0]:
        module = ".".join(data.path.with_suffix("").parts[1:])
        if not modules or any(fnmatch(module, f"{wanted}*") for wanted in modules):
            names[module].append(name)
    return {
        module: names[module] if text else more_than_text(module, names[module]) for module in sorted(names)
    }


def more_than_text(module: str, names: list[str]) -> list[str]:
    """Return the names of the mutants that not only messages show."""
    code = {name: ast.dump(Silent().visit(node)) for name, node in functions(module).items()}
    return [name for name in names for before, after in [both(code, name)] if before != after]


def both(code: dict[str, T], name: str) -> tuple[T, T]:
    """Return what belongs to a function as it is, and to a mutant of it."""
    mutant = name.rpartition(".")[2]
    return code[mutant.partition("__mutmut_")[0] + "__mutmut_orig"], code[mutant]


def functions(module: str) -> dict[str, ast.FunctionDef]:
    """Return the functions that mutmut wrote into a module, the originals included."""
    path = Path("mutants", "quantnotes", *module.split(".")).with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for name, node in found.items():
        node.name = name.partition("__mutmut_")[0]
    return found


class Silent(ast.NodeTransformer):
    """Take out what only a reader of messages or a type checker sees, and checks of our own zips."""

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in ("warn", "cast"):
            node.args[:1] = []
        elif called == "zip":
            node.keywords = []
        elif called.lstrip("_").startswith(("as_", "check")):  # as_int(x, "block_size")
            node.args = [arg for arg in node.args if not is_text(arg)]
        return node


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | None)
    )


def changed_lines(before: ast.FunctionDef, after: ast.FunctionDef) -> list[str]:
    """Return the lines that a change takes out and puts in."""
    first, second = (ast.unparse(node).splitlines() for node in (before, after))
    return [line for line in difflib.ndiff(first, second) if line[0] in "-+"]


# --- running the tests --------------------------------------------------------------------------------------


class Runner:
    """A pytest plugin whose test loop forks once for each change."""

    def __init__(self, names: dict[str, list[str]], longest: float, output: int) -> None:
        self.names, self.longest, self.output = names, longest, output
        self.results: dict[str, str] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        set_mutant_under_test("")
        self.items = {item.nodeid: item for item in session.items}
        self.forget = list(caches())
        gc.freeze()
        in_fork(self.cover)
        found = json.loads(COVER.read_text())
        self.say(f"{len(self.items)} tests take {sum(found['seconds'].values()):.0f} s")
        self.kills: dict[str, Counter[str]] = defaultdict(Counter)
        for module, names in self.names.items():
            for name in names:
                if name not in self.results:
                    self.results[name] = self.try_one(module, name, found)
                    RESULTS.write_text(json.dumps(self.results))
            counts = Counter(self.results[name].partition(":")[0] for name in names)
            self.say(f"{module}: {dict(counts)}")
        return True

    def say(self, text: str) -> None:
        os.write(self.output, f"{text}\n".encode())

    def cover(self, _: int) -> None:
        """Run each test as it is, once; note how long it takes, and which functions it calls."""
        set_mutant_under_test("stats")
        found = json.loads(COVER.read_text()) if COVER.exists() else {"tests": {}, "seconds": {}}
        tests, seconds = defaultdict(list, found["tests"]), found["seconds"]
        for number, item in self.items.items():
            if number in seconds:
                continue
            for forget in self.forget:
                forget()
            state()._stats.clear()
            start = time.process_time()
            failed = [r for r in runtestprotocol(item, log=False, nextitem=None) if r.failed]
            if failed:
                self.say(f"left out, because it fails without a change: {number}\n{failed[0].longreprtext}")
                continue
            seconds[number] = time.process_time() - start
            if len(seconds) % 100 == 0:
                self.say(f"{len(seconds)} tests ran without a change")
            for function in state()._stats:
                tests[function].append(number)
        COVER.write_text(json.dumps({"tests": tests, "seconds": seconds}))

    def try_one(self, module: str, name: str, found: dict[str, Any]) -> str:
        """Return "killed: by which test", "timeout", "crashed", "survived" or "no tests"."""
        function = name.partition("__mutmut_")[0]
        seconds = found["seconds"]
        own = f"tests/test_{module.partition('.')[0]}.py"

        def cost(test: str) -> float:
            likely = 1 + 5 * self.kills[function][test] + self.kills[module][test] + 2 * test.startswith(own)
            return float((seconds[test] + 0.01) / likely)

        order: list[str] = []
        total = 0.0
        for test in sorted((t for t in found["tests"].get(function, []) if t in self.items), key=cost):
            total += seconds[test]
            if total < self.longest or not order:
                order.append(test)
        if not order:
            return "no tests"
        status, said = in_fork(functools.partial(self.run, name, order, seconds))
        if said:
            self.kills[function][said] += 1
            self.kills[module][said] += 1
            return f"killed: {said}"
        if os.WIFSIGNALED(status):
            return "timeout" if os.WTERMSIG(status) in (signal.SIGPROF, signal.SIGALRM) else "crashed"
        return "crashed" if os.WEXITSTATUS(status) else "survived"

    def run(self, name: str, order: list[str], seconds: dict[str, float], out: int) -> None:
        for forget in self.forget:
            forget()
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        set_mutant_under_test(name)
        signal.alarm(600)
        for place, test in enumerate(order, 1):
            signal.setitimer(signal.ITIMER_PROF, 3 + 20 * seconds[test])  # ends the process
            following = self.items[order[place]] if place < len(order) else None
            if any(r.failed for r in runtestprotocol(self.items[test], log=False, nextitem=following)):
                os.write(out, test.encode())
                os._exit(1)


def in_fork(task: Callable[[int], None]) -> tuple[int, str]:
    """Run a task in a process of its own; return how that ended, and what it wrote."""
    read, write = os.pipe()
    process = os.fork()
    if not process:
        try:
            task(write)
        except BaseException:
            os._exit(2)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        _, status = os.waitpid(process, 0)
        os.set_blocking(read, False)  # a process that it started may hold the other end
        return status, pipe.read()


def caches() -> Iterator[Callable[[], object]]:
    """Yield what empties each cache of the library: a value from before the fork would hide a change."""
    for thing in gc.get_objects():
        if type(thing) is functools._lru_cache_wrapper:
            if str(thing.__module__).startswith("quantnotes"):
                yield thing.cache_clear
        elif str(type(thing).__module__).startswith("quantnotes"):
            for kind in type(thing).__mro__:
                for name, value in vars(kind).items():
                    if isinstance(value, functools.cached_property):
                        yield functools.partial(vars(thing).pop, name, None)


# --- the report ---------------------------------------------------------------------------------------------


def report(everything: dict[str, list[str]], drawn: dict[str, list[str]], results: dict[str, str]) -> int:
    """Print each survivor, and a table; return 1 if too many survived."""
    table = []
    for module, names in drawn.items():
        code = functions(module)
        left = [name for name in names if results[name] in ("survived", "no tests")]
        for name in left:
            print(f"{name} ({results[name]})", *changed_lines(*both(code, name)), sep="\n  ")
        table.append([len(everything[module]), len(names), len(names) - len(left)])
    table.append([sum(column) for column in zip(*table, strict=True)])
    print(f"{'module':24} changes   tried noticed       %")
    for module, (total, tried, noticed) in zip([*drawn, "all"], table, strict=True):
        share = 100 * noticed / max(tried, 1)
        print(f"{module:24} {total:7} {tried:7} {noticed:7} {share:7.1f}")
    return int(share < LEAST)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modules", nargs="*", default=[], help="such as formats, onnx_model; default: all")
    parser.add_argument("--sample", type=int, help="changes of each module; default: all")
    parser.add_argument("--seconds", type=float, default=20, help="of tests for a change; default: 20")
    parser.add_argument("--text", action="store_true", help="changes of nothing but text as well")
    parser.add_argument("--tests", nargs="*", help="files of tests; default: those of pyproject.toml")
    parser.add_argument("--only", nargs="*", default=[], help="names of changes to try again")
    chosen = parser.parse_args()
    everything = generate(chosen.modules, chosen.text)
    drawn = {}
    for module, names in everything.items():
        drawn[module] = random.Random(module).sample(names, len(names))[: chosen.sample]
        if chosen.only:
            drawn[module] = [name for name in names if name in chosen.only]
    os.chdir("mutants")
    runner = Runner(drawn, chosen.seconds, os.dup(2))
    for name in chosen.only:
        runner.results.pop(name, None)
    settings = config()
    arguments = ["--rootdir=.", "-q", "--tb=native", "-pno:faulthandler", *settings.pytest_add_cli_args]
    tests = chosen.tests or settings.pytest_add_cli_args_test_selection
    pytest.main([*arguments, *tests], plugins=[runner])
    os.chdir("..")
    return report(everything, drawn, runner.results)


if __name__ == "__main__":
    raise SystemExit(main())
