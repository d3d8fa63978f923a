"""Workflows, issue forms and citation: what can be held without the servers that run them."""

import re
import subprocess
import tomllib

import pytest
import yaml

import lightning_hash
from tests.packaging.conftest import ROOT

GITHUB = ROOT / ".github"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = [path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"]
# Actions and the newest major versions of which the workflows' inputs are known to be right.
ACTIONS = {
    "actions/checkout": "v6",
    "actions/setup-python": "v6",
    "actions/upload-artifact": "v6",
    "actions/download-artifact": "v7",  # the one that goes with upload-artifact v6
    "pypa/gh-action-pypi-publish": "release/v1",
}


def load(path):
    content = yaml.safe_load(path.read_text())
    content["on"] = content.pop(True, None)  # YAML 1.1 reads `on` as true
    return content


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job.get("steps", ())]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
class TestWorkflow:
    def test_it_may_read_and_no_more(self, path):
        assert load(path)["permissions"] == {"contents": "read"}
        more = {
            n: job["permissions"] for n, job in load(path)["jobs"].items() if "permissions" in job
        }
        assert more == ({"publish": {"id-token": "write"}} if path.stem == "release" else {})

    def test_actions_are_pinned_by_a_major_version_that_exists(self, path):
        used = [step["uses"] for step in steps(load(path)) if "uses" in step]
        assert used
        assert [u for u in used if ACTIONS.get(u.partition("@")[0]) != u.partition("@")[2]] == []

    def test_a_checkout_keeps_no_credentials(self, path):
        found = [s for s in steps(load(path)) if s.get("uses", "").startswith("actions/checkout")]
        assert all(step["with"]["persist-credentials"] is False for step in found)

    def test_jobs_end_and_one_replaces_the_other(self, path):
        workflow = load(path)
        jobs = workflow["jobs"].values()
        assert all("timeout-minutes" in job for job in jobs if "steps" in job)
        # A group of its own: with that of its caller, a called workflow would cancel the caller.
        assert workflow["concurrency"]["group"] == f"{path.stem}-${{{{ github.ref }}}}"

    def test_it_runs_targets_of_make_that_exist(self, path):
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        run = "\n".join(step.get("run", "") for step in steps(load(path)))
        assert set(re.findall(r"\bmake ([\w-]+)", run)) <= targets


def test_the_pythons_that_are_tested_are_those_that_are_promised():
    matrix = load(GITHUB / "workflows" / "tests.yml")["jobs"]["quick"]["strategy"]["matrix"]
    found = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert matrix["python"] == found == ["3.11", "3.12", "3.13"]
    assert PROJECT["requires-python"] == f">={found[0]}"


def test_a_release_is_built_checked_and_installed_before_it_is_published():
    release = load(GITHUB / "workflows" / "release.yml")
    assert release["on"] == {"push": {"tags": ["v*"]}}
    jobs = release["jobs"]
    assert (jobs["package"]["needs"], jobs["publish"]["needs"]) == ("version", "package")
    assert jobs["publish"]["environment"] == "pypi"
    assert not any("password" in step.get("with", {}) for step in jobs["publish"]["steps"])
    package = load(GITHUB / "workflows" / "package.yml")
    assert "workflow_call" in package["on"]
    run = [step.get("run") for step in package["jobs"]["build"]["steps"]]
    assert run.index("python -m build") < run.index("python -m twine check --strict dist/*")
    assert any(
        "lightning_hash demo" in s.get("run", "") for s in package["jobs"]["installed"]["steps"]
    )


@pytest.mark.parametrize(("tag", "status"), [("", 0), ("1", 1)])
def test_a_tag_that_is_not_the_version_is_refused(tag, status):
    (step,) = (s for s in steps(load(GITHUB / "workflows" / "release.yml")) if "run" in s)
    answer = subprocess.run(
        ["bash", "-e", "-c", step["run"]], cwd=ROOT, check=False,
        env={"GITHUB_REF_NAME": f"v{lightning_hash.__version__}{tag}", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert answer.returncode == status


def test_on_pypi_every_link_of_the_readme_leads_to_the_repository(tmp_path):
    step = next(
        s
        for s in steps(load(GITHUB / "workflows" / "package.yml"))
        if "README" in s.get("name", "")
    )
    readme = tmp_path / "README.md"
    readme.write_text((ROOT / "README.md").read_text())
    here = {
        "GITHUB_SERVER_URL": "https://example.org", "GITHUB_REPOSITORY": "a/b",
        "GITHUB_SHA": "c0ffee", "PATH": "/usr/bin:/bin",
    }  # fmt: skip
    subprocess.run(["bash", "-e", "-c", step["run"]], cwd=tmp_path, check=True, env=here)
    before, after = (
        re.findall(r"(!?)\[[^]]*\]\(([^)]+)\)", text)
        for text in ((ROOT / "README.md").read_text(), readme.read_text())
    )
    assert len(before) == len(after) > 20
    for (picture, old), (_, new) in zip(before, after, strict=True):
        kind = "raw" if picture else "blob"
        assert new == (old if ":" in old else f"https://example.org/a/b/{kind}/c0ffee/{old}")


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_asks_for_what_answers_need(path):
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= set(form)
    ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert len(ids) == len(set(ids)) >= 5
    assert all(part["attributes"].get("label") for part in form["body"] if "id" in part)
    needed = {p["id"] for p in form["body"] if p.get("validations", {}).get("required")}
    asked = {
        "bug": {"command", "version"}, "number": {"rows", "command"}, "method": {"paper"},
        "leaderboard": {"id", "by", "weights", "commands", "card"},
    }  # fmt: skip
    assert asked[path.stem] <= needed


def test_the_citation_is_of_this_version_and_names_both_papers():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert str(citation["version"]) == lightning_hash.__version__
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == [{"name": author["name"]} for author in PROJECT["authors"]]
    hag, dhta = citation["references"]
    assert f"https://doi.org/{hag['doi']}" == PROJECT["urls"]["Paper: HAG"]
    assert dhta["url"] == PROJECT["urls"]["Paper: DHTA"]
    assert {"message", "title", "abstract"} <= set(citation)


def test_contributing_names_files_and_folders_that_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`((?:lightning_hash|configs|tests|docs)/[\w/.]*?)`", text))
    assert len(named) >= 20
    assert sorted(name for name in named if "NAME" not in name and not (ROOT / name).exists()) == []
    for name, path in re.findall(r"`([A-Z]+)`\s+of `(tests/[\w/]+\.py)`", text):
        assert re.search(rf"^{name} = ", (ROOT / path).read_text(), re.MULTILINE), name
