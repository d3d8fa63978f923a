"""``make mutants``: break formulas on purpose, one at a time, and list what no test notices.

A seeded sample of small changes (an operator, a comparison, a constant, a reduction, a dropped
statement) in functional/, losses/, metrics/ and attacks/. Each is tried in a process of its own by
the tests that enter the changed function, those of the module's own file first, then the fastest,
until one fails. What the tests enter is traced once before. Left out are the changes in
tests/equal_in_effect.py, and lines that end in ``# pragma: no mutate``: they hold what no result
depends on, such as the size of a block, or what a GPU alone runs.
"""

import argparse
import ast
import contextlib
import copy
import doctest
import hashlib
import importlib
import importlib.abc
import importlib.util
import io
import json
import linecache
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.equal_in_effect import without_equal

ROOT = Path(__file__).parents[1]
PACKAGES = ("functional", "losses", "metrics", "attacks")
ENOUGH = 0.95
READERS = "tests/attacks/test_edges.py"  # its tests read defaults and constants, and enter nothing
PRELOADED = ("pytorch_lightning.cli", "torchvision", "torchmetrics", "matplotlib.pyplot",
             "hypothesis", "tensorboard.backend.event_processing.event_accumulator",
             "torch.utils.tensorboard", "torch._dynamo")  # fmt: skip

OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Div, ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.MatMult: ast.Mult, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
NAMES = {
    "min": "max", "max": "min", "amin": "amax", "amax": "amin", "minimum": "maximum",
    "maximum": "minimum", "sum": "mean", "mean": "sum", "any": "all", "all": "any",
    "floor": "ceil", "ceil": "floor", "round": "floor", "zeros": "ones", "ones": "zeros",
    "zeros_like": "ones_like", "ones_like": "zeros_like", "argmin": "argmax", "argmax": "argmin",
    "tanh": "sigmoid", "cumsum": "cumprod", "exp": "log", "log": "exp", "detach": "clone",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """The ``number``-th change of a file, in the function whose first line is ``function``."""

    file: str
    number: int
    line: int
    function: int  # 0 outside of functions
    change: str


class Mutator(ast.NodeVisitor):
    """Finds the changes of a module; makes the one that is wanted."""

    def __init__(self, file, wanted=None):
        self.file, self.wanted, self.found, self.function = file, wanted, [], 0
        self.lines = (ROOT / file).read_text().splitlines()

    def offer(self, node, change, make):
        if self.lines[node.lineno - 1].endswith("# pragma: no mutate"):
            return
        number = len(self.found)
        self.found.append(Mutant(self.file, number, node.lineno, self.function, change))
        if number == self.wanted:
            make()

    def visit_FunctionDef(self, node):
        before = self.function
        for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(default)  # at import, as all that stands outside of functions
        self.function = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        for statement in node.body:
            self.statement(statement, node.body)
        self.function = before

    def statement(self, node, body):
        """Drop calls for their effect and updates in place."""
        call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        if call or isinstance(node, ast.AugAssign):
            place = body.index(node)

            def drop():
                body[place] = ast.copy_location(ast.Pass(), node)

            self.offer(node, f"dropped: {ast.unparse(node)}", drop)
        self.visit(node)

    def generic_visit(self, node):
        for name in ("body", "orelse", "finalbody"):
            statements = getattr(node, name, None)
            if isinstance(statements, list) and not isinstance(node, ast.Module | ast.ClassDef):
                for each in list(statements):
                    self.statement(each, statements)
        for name, value in ast.iter_fields(node):
            blocks = ("body", "orelse", "finalbody")
            done = name in blocks and not isinstance(node, ast.Module | ast.ClassDef)
            if name in ("annotation", "returns", "decorator_list") or (
                done and isinstance(value, list)
            ):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    self.visit(child)

    def visit_Raise(self, node):
        """Leave errors alone: whether they are raised is decided by the comparison before."""

    def swap(self, node, name, position=None):
        kind = getattr(node, name) if position is None else getattr(node, name)[position]
        other = OPERATORS.get(type(kind))
        if other is None:
            return

        def make():
            if position is None:
                setattr(node, name, other())
            else:
                getattr(node, name)[position] = other()

        self.offer(node, f"{type(kind).__name__} -> {other.__name__}: {ast.unparse(node)}", make)

    def visit_keyword(self, node):
        """Leave ``zip(..., strict=True)`` alone: it says what is so, and computes nothing."""
        if node.arg != "strict":
            self.visit(node.value)

    def visit_BinOp(self, node):
        if not any(isinstance(side, ast.Constant) and isinstance(side.value, str | None)
                   for side in (node.left, node.right)):  # fmt: skip
            self.swap(node, "op")
        self.generic_visit(node)

    def visit_AugAssign(self, node):
        self.swap(node, "op")
        self.generic_visit(node)

    def visit_BoolOp(self, node):
        self.swap(node, "op")
        self.generic_visit(node)

    def visit_Compare(self, node):
        for position in range(len(node.ops)):
            self.swap(node, "ops", position)
        self.generic_visit(node)

    def visit_UnaryOp(self, node):
        if isinstance(node.op, ast.USub | ast.Not | ast.Invert):
            change = f"dropped {type(node.op).__name__}: {ast.unparse(node)}"
            plain = ast.UAdd() if isinstance(node.op, ast.USub) else None

            def make():
                if plain is not None:
                    node.op = plain
                else:  # not x -> not not x
                    node.operand = ast.copy_location(
                        ast.UnaryOp(copy.copy(node.op), node.operand), node
                    )

            self.offer(node, change, make)
        self.generic_visit(node)

    def visit_Constant(self, node):
        value = node.value
        if isinstance(value, bool):
            other = not value
        elif isinstance(value, int | float):
            other = value + 1
        else:
            return

        def make():
            node.value = other

        self.offer(node, f"{value!r} -> {other!r}", make)

    def visit_Call(self, node):
        function = node.func
        name = getattr(function, "attr", getattr(function, "id", None))
        if name in NAMES:

            def make():
                setattr(function, "attr" if hasattr(function, "attr") else "id", NAMES[name])

            self.offer(node, f"{name} -> {NAMES[name]}: {ast.unparse(node)[:70]}", make)
        self.generic_visit(node)


def mutants():
    """List every change."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / "lightning_hash" / package).rglob("*.py")):
            finder = Mutator(str(path.relative_to(ROOT)))
            finder.visit(ast.parse(path.read_text()))
            found += finder.found
    return found


def line_of(mutant):
    """Return the source line of a change."""
    return linecache.getline(str(ROOT / mutant.file), mutant.line).strip()


class MutantFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module with its change."""

    def __init__(self, mutant):
        self.mutant = mutant
        self.name = mutant.file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")

    def find_spec(self, name, path, target=None):
        if name != self.name:
            return None
        place = ROOT / self.mutant.file
        package = place.name == "__init__.py"
        places = [str(place.parent)] if package else None
        spec = importlib.util.spec_from_file_location(
            name, place, loader=self, submodule_search_locations=places
        )
        spec.has_location = True
        return spec

    def exec_module(self, module):
        place = ROOT / self.mutant.file
        tree = ast.parse(place.read_text())
        Mutator(self.mutant.file, self.mutant.number).visit(tree)
        exec(compile(ast.fix_missing_locations(tree), place, "exec"), module.__dict__)


class Chosen:
    """A pytest plugin: the tests of a mutant, fastest first."""

    def __init__(self, seconds):
        self.seconds, self.failed = seconds, []

    def pytest_collection_modifyitems(self, items):
        items[:] = sorted(
            (item for item in items if item.nodeid in self.seconds),
            key=lambda item: self.seconds[item.nodeid],
        )

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_collectreport(self, report):
        if report.failed:
            self.failed.append(report.nodeid)


class Trace:
    """A pytest plugin: which functions of the package each test enters, and how long it takes."""

    def __init__(self):
        self.entered, self.seconds = defaultdict(set), {}
        self.prefix = str(ROOT / "lightning_hash") + "/"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        codes = set()

        def tracer(frame, event, argument):
            codes.add(frame.f_code)

        start = time.monotonic()
        sys.settrace(tracer)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            self.seconds[item.nodeid] = time.monotonic() - start
            for code in codes:
                if code.co_filename.startswith(self.prefix):
                    file = str(Path(code.co_filename).relative_to(ROOT))
                    self.entered[f"{file}:{code.co_firstlineno}"].add(item.nodeid)


def run_pytest(plugin, files, base, number):
    """Run the quick tests of some files in this process, silently."""
    os.environ["PYTEST_XDIST_WORKER"] = f"gw{number}"  # the trained victim is shared
    arguments = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow",
                 f"--basetemp={base}/{number}", f"--rootdir={ROOT}", *files]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return pytest.main(arguments, plugins=[plugin])


def trace(pipe, files, base, number):
    plugin = Trace()
    status = run_pytest(plugin, files, base, number)
    pipe.send((int(status), {key: sorted(value) for key, value in plugin.entered.items()},
               plugin.seconds))  # fmt: skip


def attempt(pipe, mutant, seconds, base, number):
    """Send what notices a change, or would without one: the first test that fails, or nothing."""
    if mutant is not None:
        finder = MutantFinder(mutant)
        sys.meta_path.insert(0, finder)
        if fails_its_examples(finder.name):
            pipe.send("its own examples")
            return
    plugin = Chosen(seconds)
    files = sorted({test.split("::")[0] for test in seconds})
    status = run_pytest(plugin, ["-x", *files], base, number)
    broken = status in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR)
    pipe.send([*plugin.failed, "pytest itself" if broken else ""][0])


def fails_its_examples(name):
    """Return whether a module cannot be imported, or an example in it is wrong."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return doctest.testmod(importlib.import_module(name)).failed > 0
        except Exception:
            return True


def in_child(function, *arguments, timeout=None):
    """Run a function in a forked process; nothing where it died or took too long."""
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=function, args=(theirs, *arguments))
    process.start()
    theirs.close()
    answer = None
    with contextlib.suppress(EOFError):
        if mine.poll(timeout):
            answer = mine.recv()
    process.kill() if answer is None else process.join(10)
    process.kill()
    process.join()
    return answer


def near_and_far(seconds):
    """Split tests, fastest first, after three seconds: few files are collected in vain."""
    near, total = {}, 0.0
    for test, time_of_test in seconds.items():
        total += time_of_test
        if near and total > 3:
            break
        near[test] = time_of_test
    far = {test: seconds[test] for test in seconds if test not in near}
    return [part for part in (near, far) if part]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=300, help="how many changes; 0 tries all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="changes in files whose path holds this")
    parser.add_argument("--budget", type=float, default=60, help="seconds of tests for a change")
    parser.add_argument(
        "--coverage", type=Path, help="keep here what tests enter, until a file changes"
    )
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    for name in PRELOADED:
        importlib.import_module(name)
    every = without_equal(mutants(), line_of)
    chosen = [each for each in every if options.only in each.file]
    if options.sample and options.sample < len(chosen):
        chosen = random.Random(options.seed).sample(chosen, options.sample)
    base = Path(tempfile.mkdtemp(prefix="mutants-"))
    kept, now = {}, fingerprint()
    if options.coverage and options.coverage.is_file():
        kept = json.loads(options.coverage.read_text())
    if "entered" not in kept or kept.get("of") != now:
        entered, seconds = what_tests_enter(base, options.jobs)
        kept = {"of": now, "entered": entered, "seconds": seconds}
        if options.coverage:
            options.coverage.write_text(json.dumps(kept))
    entered, seconds = kept["entered"], kept["seconds"]
    inside = defaultdict(set)
    for key, tests in entered.items():
        inside[key.rpartition(":")[0]] |= set(tests)
    readers = {test for test in seconds if test.startswith(READERS)}
    free = list(range(options.jobs))
    start, results = time.monotonic(), {}
    trusted, leaning = set(), set()  # tests that killed, and those that do so by their order

    def tell(mutant, answer):
        results[mutant] = answer
        if answer != "killed":
            print(f"{answer}: {mutant.file}:{mutant.line}: {mutant.change}", flush=True)
        if len(results) % 25 == 0:
            print(f"{len(results)} of {len(chosen)}, {time.monotonic() - start:.0f} s", flush=True)

    def judge(mutant):
        key = f"{mutant.file}:{mutant.function}"
        tests = entered.get(key, ()) if mutant.function else inside[mutant.file] | readers
        kept, total = {}, 0.0
        own = (READERS, f"/test_{Path(mutant.file).stem.strip('_')}.py")
        order = sorted(
            (not each.partition("::")[0].endswith(own), seconds[each], each)
            for each in tests
            if each in seconds
        )
        for _, _, test in order:
            total += seconds[test]
            if kept and total > options.budget:
                break
            kept[test] = seconds[test]
        if not kept:
            tell(mutant, "no test enters it")
            return
        number = free.pop()
        killer = next(filter(None, (run(mutant, part, number) for part in near_and_far(kept))), "")
        free.append(number)
        if killer in leaning:
            judge(mutant)
        else:
            tell(mutant, "killed" if killer else "survived")

    def run(mutant, part, number):
        """Return what kills a mutant; a test is believed that passes there without the change."""
        limit = 30 + 3 * sum(part.values())
        killer = in_child(attempt, mutant, part, base, number, timeout=limit)
        if killer is None:
            return "it crashed or never ended"
        if killer in part and killer not in trusted | leaning:
            order = sorted(part, key=part.get)
            before = {test: part[test] for test in order[: order.index(killer) + 1]}
            if in_child(attempt, None, before, base, number, timeout=limit) == killer:
                print(f"not asked again, it fails in this order without a change: {killer}")
                leaning.add(killer)
                seconds.pop(killer, None)
            else:
                trusted.add(killer)
        return killer

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(judge, chosen))
    counts = Counter(results.values())
    share = counts["killed"] / len(chosen)
    print(f"{counts['killed']} of {len(chosen)} killed ({share:.1%}), sample of {len(every)} "
          f"changes with seed {options.seed}, {time.monotonic() - start:.0f} s")  # fmt: skip
    return 0 if share >= ENOUGH else 1


def fingerprint():
    """Return the sha256 of the sources and tests: what tests enter changes with them."""
    digest = hashlib.sha256()
    for folder in ("lightning_hash", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def what_tests_enter(base, jobs):
    """Run the quick tests once; return what each enters, and its seconds."""
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py"))
    with ThreadPoolExecutor(jobs) as pool:
        answers = list(pool.map(lambda n: in_child(trace, files[n::jobs], base, n), range(jobs)))
    entered, seconds = defaultdict(list), {}
    for status, part, times in answers:
        if status:
            sys.exit("the tests fail without a change: run make test first")
        for key, tests in part.items():
            entered[key] += tests
        seconds |= times
    return entered, seconds


if __name__ == "__main__":
    sys.exit(main())
