"""The workflow of `docs/policy-in-ci.md` runs as it is written, on the example company with one rule more."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
import yaml  # type: ignore[import-untyped]

from tests.docs.pages import Block, blocks
from tests.flow.company import running
from tools.findings import ROOT

PAGE = ROOT / "docs/policy-in-ci.md"
RULE = """
@id("payments-read-audit")
@owner("Internal Audit")
@reason("auditors look at the payments of the tenants that they audit")
permit (principal is User, action == Action::"issue", resource == Scope::"payments:read")
when { principal.department == "Internal Audit" && principal.employment == "employee" };
"""
PERMIT = """
@id("build-looks-ahead") @owner("Token Governance") @reason("a pull request shows what it would have changed")
permit (principal == Workload::"batch", action == Action::"issue", resource in Audience::"mintwarden")
when { ["mintwarden:policy.propose", "mintwarden:impact.read", "mintwarden:proposals.read"].contains(resource.name) };
"""
GH = """#!/bin/sh
test "$*" = "pr comment 7 --body-file policy-diff.md --edit-last --create-if-none" && test -n "$GH_TOKEN" && cp policy-diff.md "$COMMENT"
"""


def block(language: str) -> Block:
    (found,) = [block for block in blocks(PAGE) if block.info[0] == language]
    return found


def workflow() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load("\n".join(block("yaml").lines))
    return loaded


def steps() -> list[dict[str, Any]]:
    return [step for step in workflow()["jobs"]["policy"]["steps"] if "run" in step]


def git(folder: Path, *words: str) -> None:
    own = ["-c", "user.name=t", "-c", "user.email=t@example", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *own, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What `actions/checkout` leaves: a branch with one rule more than `origin/main`."""
    upstream, clone = tmp_path / "upstream", tmp_path / "clone"
    shutil.copytree(ROOT / "examples/meridian", upstream / "policy")
    git(tmp_path, "init", "-q", "-b", "main", str(upstream))
    git(upstream, "add", ".")
    git(upstream, "commit", "-q", "-m", "the policy")
    git(tmp_path, "clone", "-q", str(upstream), str(clone))
    git(clone, "switch", "-q", "-c", "auditors")
    with (clone / "policy/rules/payments.cedar").open("a") as rules:
        rules.write(RULE)
    git(clone, "commit", "-q", "-a", "-m", "auditors read payments")
    return clone


def environment(tmp_path: Path) -> dict[str, str]:
    """What a runner has, `gh` standing in for GitHub's own; nothing is fetched, for `mintwarden` is installed."""
    own = tmp_path / "bin"
    own.mkdir(exist_ok=True)
    (own / "gh").write_text(GH)
    (own / "gh").chmod(0o755)
    path = os.pathsep.join([str(own), str(Path(sys.executable).parent), os.environ["PATH"]])
    known = {
        "MAIN": "origin/main",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "PULL_REQUEST": "7",
        "GH_TOKEN": "t",
    }
    return {**os.environ, **known, "PATH": path, "COMMENT": str(tmp_path / "comment.md"), "PIP_NO_INDEX": "1"}


def test_the_workflow_runs_as_written(clone: Path, tmp_path: Path) -> None:
    variables = environment(tmp_path)
    for step in steps():
        done = subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=clone, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, f"{step['name']}: {done.stdout}"
    sarif = msgspec.json.decode((clone / "policy.sarif").read_bytes())
    assert sarif["version"] == "2.1.0"
    assert ET.parse(clone / "policy.xml").getroot().find(".//testcase") is not None
    comment = (tmp_path / "comment.md").read_text()
    assert comment.startswith("### Policy diff: changed")
    assert "- `+` payments:read of payments, issue, User: permitted only by NEW" in comment
    assert (tmp_path / "summary.md").read_text() == comment


def test_every_variable_of_a_step_is_set_by_the_workflow() -> None:
    job = workflow()["jobs"]["policy"]
    assert set(job["env"]) == {"MAIN"}
    assert {name for step in steps() for name in step.get("env", {})} == {"GH_TOKEN", "PULL_REQUEST"}
    assert not any("${{" in step["run"] for step in steps())


def test_the_script_does_the_same_as_the_workflow() -> None:
    script = [line for line in block("sh").lines if line not in ("set -eu", "MAIN=${MAIN:-origin/main}")]
    runs = "\n".join(step["run"] for step in steps() if step["name"] not in ("Install", "Comment")).splitlines()
    assert script == [line for line in runs if line and "GITHUB_STEP_SUMMARY" not in line and not line.startswith("#")]


def test_the_script_refuses_what_is_not_there(clone: Path, tmp_path: Path) -> None:
    """Only its last lines: what comes before them has run above."""
    script = "\n".join(["set -eu", *block("sh").lines[-3:]])
    variables = {**environment(tmp_path), "MAIN": "origin/nowhere"}
    done = subprocess.run(["sh", "-c", script], cwd=clone, env=variables, capture_output=True, check=False, timeout=60)
    assert done.returncode == 1
    assert b"no folder of a commit" in done.stderr


async def test_the_script_asks_a_deployment_what_the_change_would_have_made_of_its_history(tmp_path: Path) -> None:
    def edit(bundle: Path) -> None:
        batch = bundle / "clients/batch.toml"
        batch.write_text(
            batch.read_text()
            + 'mintwarden = ["mintwarden:policy.propose", "mintwarden:impact.read", "mintwarden:proposals.read"]\n'
        )

    async with running(tmp_path / "deployment", rules=PERMIT, edit=edit) as company:
        await company.token("batch", grant_type="client_credentials", scope="payments:read")
        work = tmp_path / "work"
        shutil.copytree(company.folder / "bundle", work / "policy")
        rules = work / "policy/rules/all.cedar"
        rules.write_text(
            rules.read_text().replace(
                '"batch", action == Action::"issue", resource == Scope',
                '"x", action == Action::"issue", resource == Scope',
            )
        )
        known = {"MINTWARDEN": company.base, "CLIENT": "batch", "SECRET": company.secrets["batch"], "RUN": "run-4711-1"}
        for _again in range(2):  # a job that is run again asks for the same once more
            done = await asyncio.create_subprocess_exec(
                "bash", "-c", "\n".join(block("bash").lines), cwd=work, env={**environment(tmp_path), **known},
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            out, _ = await asyncio.wait_for(done.communicate(), 240)
            assert done.returncode == 0, out.decode()
            assert known["SECRET"].encode() not in out
        assert not (work / "curl.conf").exists()
        told = msgspec.json.decode((work / "impact.json").read_bytes())
        assert (told["state"], told["result"]["kinds"]["lost"]["count"]) == ("done", 1)
        assert "lost" in (work / "policy-impact.md").read_text()
