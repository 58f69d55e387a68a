"""The story: each step makes real requests of a real server and checks what comes of them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from typing import Any

import httpx2

from mintwarden.app.demo.calls import Broken, Call, claims_of, send
from mintwarden.app.demo.cast import PEOPLE
from mintwarden.app.demo.coming import TILL, WORKBENCH, Coming, hers
from mintwarden.app.demo.process import Finished, command
from mintwarden.app.demo.script import AGENT, BROAD, CALM, HERS, NARROW, REFUNDED, TOOL, UNEASY, Script
from mintwarden.app.demo.stage import Stage
from mintwarden.app.demo.tamper import tampered_copy
from mintwarden.app.demo.tell import Teller
from mintwarden.app.demo.verify import ResourceServer

_FLAGS = "https://api.meridian.example/feature-flags"
_PAYMENTS = "https://api.meridian.example/payments"
_LEDGER = "https://api.meridian.example/ledger"
_REPORTS = "https://api.meridian.example/reports"
_CHECKPOINT_WAIT = 15.0


class Story:
    """Tells it once, from the first token to the tampered entry; raises `Broken` where it does not hold.

    Attributes:
        vkey: the log's verifier key, known after `proof`.
        decision: the decision that is explained and proved.
    """

    def __init__(
        self, *, stage: Stage, script: Script, server: subprocess.Popen[str], http: httpx2.Client, teller: Teller
    ) -> None:
        self._stage = stage
        self._script = script
        self._server = server
        self._http = http
        self._tell = teller
        self._coming = Coming(script.caller, http)
        self.vkey = ""
        self.decision = ""

    def tell(self) -> None:
        """Every step, in order."""
        self.service()
        self.broad_group()
        self.agent()
        self.risk()
        self.chain()
        self.person()
        self.renewal()
        self.device()
        self.onward()
        self.batch()
        self.third_party()
        self.explain()
        self.proof()
        self.tampering()

    def service(self) -> None:
        """A token of a service, checked by a library that is not ours."""
        self._tell.step(
            "A service gets a token",
            "The flags relay authenticates and asks for one scope at one API. Whether it may is decided by rules, "
            "written into the ledger, and only then signed.",
        )
        token = self._token(self._script.service())
        claims = self._api(_FLAGS).accepts(token)
        self._tell.claims(claims, ("sub", "aud", "scope", "team", "region", "jti", "ledger_leaf"))
        self._tell.good(
            "joserfc, which neither our signing nor our verifying uses, checks signature, issuer, audience and end"
        )
        self._api(_LEDGER).refuses(token)
        self._tell.good("another API, verifying the same way, does not take it")

    def broad_group(self) -> None:
        """Six scopes of a broad group, two of a person's work."""
        self._tell.step(
            "A broad group becomes two narrow scopes",
            "Nils Ek is in `payments-all`, a group that once meant everything at the payments API. He is a dispute "
            "analyst; the workbench asks for all of it in his name.",
        )
        token = self._token(self._script.broad_group())
        claims = self._api(_PAYMENTS).accepts(token)
        granted = claims["scope"].split()
        self._tell.table(("asked for", "issued"), [(name, "yes" if name in granted else "") for name in BROAD.split()])
        self._must(claims["scope"] == NARROW, "the narrow scopes are not those of his work")
        self._must(claims.get("tenant") == "nordic", "the tenant is not in the token")
        self._tell.good(f"two scopes of six, for the tenant {claims['tenant']}, for the purpose {claims['purpose']}")

    def agent(self) -> None:
        """The agent holds less than its person, and stands in the token."""
        self._tell.step(
            "An agent exchanges a person's token and gets less",
            "Maya Lindqvist may read, enter and refund payments. An autonomous agent works through refunds for her; "
            "the answer is what she may and it may, and the token names both.",
        )
        self._call(self._script.agent_state("the agent's runtime reports a quiet day", CALM))
        hers = claims_of(self._token(self._script.herself()))
        token = self._token(self._script.agent("the agent asks for as much", "payments:read payments:refund"))
        its = self._api(_PAYMENTS).accepts(token)
        self.decision = its["jti"]
        self._compare({"she": hers["scope"], "her agent": its["scope"]})
        self._must(its["sub"] == "maya.lindqvist" and its["act"]["sub"] == AGENT, "the token does not name both")
        self._must(its["exp"] - its["iat"] < hers["exp"] - hers["iat"], "the agent's token does not live shorter")
        self._tell.good(f"sub {its['sub']}, act {its['act']['sub']}, and {its['exp'] - its['iat']} seconds to live")

    def risk(self) -> None:
        """A pushed fact shapes the next decision; nothing was restarted."""
        self._tell.step(
            "Its risk goes up, and the next exchange gives less still",
            "The runtime sees the agent behave oddly and pushes that fact. Nothing is restarted or reloaded; facts are "
            "read afresh for every decision.",
        )
        self._call(self._script.agent_state("the agent's runtime reports a risk of 55", UNEASY))
        begun = time.perf_counter()
        its = claims_of(self._token(self._script.agent("the agent asks again", "payments:read")))
        took = time.perf_counter() - begun
        self._compare({"her agent, calm": "payments:read payments:refund", "her agent, uneasy": its["scope"]})
        self._must(self._server.poll() is None, "the server was restarted")
        self._tell.good(f"answered in {took * 1000:.0f} ms, by the same process")
        self._call(self._script.agent_state("the risk goes down again", CALM))
        self._token(self._script.agent("and so the agent may again", "payments:read payments:refund"))

    def chain(self) -> None:
        """Each hop narrows, and stands in the token."""
        self._tell.step(
            "A chain: a person, her agent, its tool",
            "The agent calls a tool on an MCP server, and the tool calls the payments API. Each exchanges the token "
            "that it was given; nothing is handed on that the hop before did not carry.",
        )
        token = self._token(self._script.tools())
        claims = self._api(_PAYMENTS).accepts(self._token(self._script.tool(token)))
        self._must(claims["act"]["sub"] == TOOL and claims["act"]["act"]["sub"] == AGENT, "a hop is not in the token")
        self._tell.claims(claims, ("sub", "act", "aud", "scope", "tenant", "purpose"))
        self._api(_PAYMENTS).refuses(token)
        self._call(self._script.tool_for_more(token))
        self._tell.good(
            "the API knows for whom, by which agent and by which tool; it does not take the agent's own token"
        )

    def person(self) -> None:
        """A person signs in with a browser, at a provider that is not ours, and is asked."""
        self._tell.step(
            "A person signs in, and is asked",
            "Maya Lindqvist opens the workbench. It pushes its request and sends her browser here; she signs in at the "
            "company's own OpenID provider, which runs for this demonstration. The policy is asked before she is.",
        )
        asked = hers()
        pushed = self._call(self._coming.pushed(asked)).json()
        arrived = self._coming.arrive(asked, str(pushed["request_uri"]))
        for address in arrived.way:
            self._tell.passed(address.removeprefix(self._stage.issuer))
        self._must(len(arrived.pages) == 1 and "Give captured money back" in arrived.pages[0], "she was not asked")
        self._tell.quote(arrived.pages[0])
        answer = self._call(self._coming.redeemed(asked, arrived, {"scope": HERS, "token_type": "Bearer"})).json()
        claims = self._api(_PAYMENTS).accepts(str(answer["access_token"]))
        who = self._workbench().signed_in(str(answer["id_token"]), nonce=asked.parameters["nonce"])
        self._tell.claims(who, ("iss", "sub", "aud", "acr", "auth_time"))
        self._must(claims["sub"] == who["sub"] == "maya.lindqvist", "somebody else signed in")
        self._tell.good("state and issuer of the answer, signature, audience and nonce of the ID token hold")
        name, renewal = "the workbench renews, to ask who she is", str(answer["refresh_token"])
        call = self._coming.renewed(name, WORKBENCH, renewal, {}, audience="identity")
        told = self._call(self._coming.user_info("who it is", self._token(call), {"sub": "maya.lindqvist"})).json()
        self._tell.claims(told, ("sub", "display_name", "department"))
        again = send(self._http, self._coming.redeemed(asked, arrived, {"status": 400, "error": "invalid_grant"}))
        self._must(again.status_code == 400, "a code was good twice")
        self._tell.good("the code is good once: a second time ends everything that came of it")

    def renewal(self) -> None:
        """The next token is another decision."""
        self._tell.step(
            "An entitlement is taken away, and the refresh shrinks",
            "The workbench renews her token while she works. Identity governance takes her right to refund away; "
            "nobody revokes anything.",
        )
        maya = next(person for person in PEOPLE if person.name == "maya.lindqvist")
        answer = self._coming.tokens(hers(), {"scope": HERS})
        renewal = str(answer["refresh_token"])
        taken = "payments-refunder"
        self._call(self._script.entitled("identity governance takes her right to refund away", maya, taken))
        less = "payments:read payments:create"
        call = self._coming.renewed("the workbench renews her token", WORKBENCH, renewal, {"scope": less})
        shrunk = claims_of(self._token(call))
        self._compare({"allowed by her": HERS, "renewed": shrunk["scope"]})
        told = self._call(self._script.explained(str(shrunk["jti"]))).text
        self._must(taken in told, "the why-not does not speak of the entitlement")
        self._call(self._script.entitled("it is given back", maya))
        call = self._coming.renewed("and so is the scope", WORKBENCH, renewal, {"scope": HERS})
        self._token(call)
        self._tell.good("each renewal is a decision of that moment, within what she allowed; each has its ledger entry")

    def device(self) -> None:
        """Allowed elsewhere, after reading who asks."""
        self._tell.step(
            "A display without a keyboard is allowed elsewhere",
            "The display at a merchant's counter shows a code. Kai Jensen types it in with his own browser, where he "
            "signs in and reads who asks, what for and from where.",
        )
        begun = self._call(self._coming.device()).json()
        code = str(begun["device_code"])
        self._call(self._coming.device_allowed(code, {"status": 400, "error": "authorization_pending"}))
        arrived = self._coming.type_in(str(begun["user_code"]))
        asked = arrived.pages[-2]
        self._tell.quote(asked)
        self._must("Till display" in asked and str(begun["user_code"]) in asked, "the page does not say who asks")
        token = self._token(self._coming.device_allowed(code, {"scope": "customers:read.basic"}))
        claims = claims_of(token)
        self._must((claims["sub"], claims["client_id"]) == ("kai.jensen", TILL), "it is not his, or not the display's")
        self._call(self._coming.device_allowed(code, {"status": 400, "error": "invalid_grant"}))
        self._tell.good("a code is good once, and what he allowed is an entry of the ledger")

    def onward(self) -> None:
        """To another company's server, and through the services of this one."""
        self._tell.step(
            "Another company's server, and one refund through the services of this one",
            "Maya Lindqvist reads disputes at the card network, which has a server of its own and takes our word for "
            "who she is. Her refund goes through several services: each holds a token for that one transaction.",
        )
        answer = self._coming.tokens(hers(), {})
        assertion = self._token(self._script.elsewhere(str(answer["id_token"])))
        self._tell.claims(claims_of(assertion), ("sub", "aud", "client_id", "scope", "acr"))
        self._api(_PAYMENTS).refuses(assertion)
        self._tell.good("an assertion for that server alone, for one scope there; no API of ours takes it")
        begun = self._token(self._script.transaction(self._token(self._script.herself())))
        passed = claims_of(self._token(self._script.passed_on(begun)))
        self._tell.claims(passed, ("sub", "act", "txn", "tctx", "scope"))
        self._must(passed["txn"] == claims_of(begun)["txn"] and passed["tctx"] == REFUNDED, "it is another transaction")
        self._api(_LEDGER).refuses(begun)
        self._tell.good("the ledger's own token speaks of the same transaction, of whom it is and who handed it on")

    def batch(self) -> None:
        """Refused outside the window, and told why, to whoever may know."""
        call = self._script.batch()
        form = dict(call.form or {})
        self._tell.step(
            "A batch job is refused outside its window, with the why-not",
            f"Several jobs share the account `{_client(call)}`. Its scopes are bound to hours of the day: whoever "
            "takes the secret cannot use it when nobody expects it to be used.",
        )
        answer = self._call(call)
        refused = answer.json()["decision"]
        self._must(set(answer.json()) == {"error", "error_description", "decision"}, "the client learns too much")
        self._tell.good("the client learns no more than a reference to the decision")
        shown = self._run("explain", refused, "--config", str(self._stage.config))
        for word in (form["scope"], "NO", "context.request.time", "it would be granted if"):
            self._must(word in shown.output, f"the why-not does not speak of `{word}`")

    def third_party(self) -> None:
        """What stealing from the third party is worth."""
        self._tell.step(
            "The stolen third-party token is useless elsewhere",
            "Chartmaker, a vendor, holds one low scope for one tenant, from its own network, for five minutes. In 2025 "
            "stolen tokens of one vendor opened more than seven hundred companies.",
        )
        script = self._script
        token = self._token(script.vendor_at_home())
        claims = self._api(_REPORTS).accepts(token)
        self._must(claims["exp"] - claims["iat"] <= 300, "the vendor's token lives too long")
        self._must(claims["tenant"] == "nordic" and claims["scope"] == "reports:benchmark", "it holds too much")
        self._api(_PAYMENTS).refuses(token)
        self._tell.good("the payments API does not take the token")
        self._call(script.thief_with_token(token))
        self._call(script.thief_as_administrator(token))
        self._call(script.thief_with_secret())
        self._call(script.thief_with_tenant())
        self._call(script.thief_with_audience())
        self._tell.good("six attempts, nothing gained; what the token itself still reads are averages, until it ends")

    def explain(self) -> None:
        """The whole story of one token."""
        self._tell.step(
            "One decision, explained",
            "From the decision's id in her agent's token: who, what was asked, from which facts, by which rules, "
            "and why not the rest. The same is answered over HTTP to whoever holds a token for it.",
        )
        shown = self._run("explain", self.decision, "--config", str(self._stage.config))
        for word in ("maya.lindqvist", AGENT, "payments:refund", "payments-act-agents-refund", "payments:create"):
            self._must(word in shown.output, f"the explanation does not speak of `{word}`")
        self._call(self._script.explained(self.decision))

    def proof(self) -> None:
        """The ledger's proof of that decision, without the server."""
        self._tell.step(
            "Its proof, checked offline",
            "The token names its ledger entry. The proof that the entry is in the log is a file; checking it takes the "
            "log's public key and no server, no store, no network.",
        )
        config = str(self._stage.config)
        status = json.loads(self._run("ledger", "status", "--config", config, "--json", quiet=True).output)
        self.vkey = status["vkeys"][-1]
        file, vkey = self._stage.folder / "decision.proof", self._stage.folder / "log.vkey"
        vkey.write_text(f"{self.vkey}\n", encoding="utf-8")
        self._await_checkpoint(config, str(file))
        shown = self._run("ledger", "verify", str(file), "--vkey", str(vkey), "--origin", status["origin"], most=1)
        self._must(self.decision in shown.output, "the proof is of another entry")
        words = ("ledger", "verify", str(file), "--vkey", str(vkey), "--origin", "log.elsewhere.example")
        wrong = command(*words, folder=self._stage.folder)
        self._must(wrong.code == 1, "a proof from another log is believed")
        self._tell.good("the entry is in the log, under a signed checkpoint; a proof for another log is refused")

    def tampering(self) -> None:
        """What an all-powerful insider changes is found."""
        self._tell.step(
            "A tampered entry is found",
            "Somebody with every right on the database makes a copy say that the workbench, not the agent, had asked. "
            "The audit reads everything again: entries, leaves, tiles, root, signature.",
        )
        fine = self._run("ledger", "audit", "--config", str(self._stage.config), most=3)
        self._must(fine.code == 0, "the audit finds fault with an honest ledger")
        copy = asyncio.run(
            tampered_copy(self._stage, self.decision, old=b'"client":"refunds-agent"', new=b'"client":"workbench"')
        )
        found = self._run("ledger", "audit", "--config", str(copy), code=1, most=4)
        self._must("edited_entry" in found.output, "the audit does not name the edited entry")
        self._tell.good("the honest ledger passes; the edited entry is named")

    # -- how steps do things

    def _api(self, identifier: str) -> ResourceServer:
        return ResourceServer(issuer=self._stage.issuer, identifier=identifier, http=self._http)

    def _workbench(self) -> ResourceServer:
        return ResourceServer(issuer=self._stage.issuer, identifier=WORKBENCH, http=self._http)

    def _call(self, call: Call) -> httpx2.Response:
        answer = send(self._http, call)
        content: Any = answer.json()
        granted = answer.status_code == 200
        told = f"{answer.status_code}  " + (content.get("scope") or content.get("error") or "")
        if not granted and "error_description" in content:
            told += f": {content['error_description']}"
        self._tell.asked(f"{call.method} {call.url.removeprefix(self._stage.issuer)}", call.name, told, granted=granted)
        return answer

    def _token(self, call: Call) -> str:
        return str(self._call(call).json()["access_token"])

    def _compare(self, holders: dict[str, str]) -> None:
        rows = [(name, *("yes" if name in held.split() else "" for held in holders.values())) for name in HERS.split()]
        self._tell.table(("scope", *holders), rows)

    def _run(self, *words: str, code: int = 0, most: int = 200, quiet: bool = False) -> Finished:
        done = command(*words, folder=self._stage.folder)
        return self._show(done, code=code, most=most, quiet=quiet)

    def _show(self, done: Finished, *, code: int = 0, most: int = 200, quiet: bool = False) -> Finished:
        shown = [word.removeprefix(f"{self._stage.folder}/") for word in done.words]
        if not quiet:
            self._tell.ran(shown)
            self._tell.quote(done.output, most=most)
        if done.code != code:
            raise Broken(f"`mintwarden {' '.join(shown)}` ended with {done.code}", hint=done.complaint.strip()[-300:])
        return done

    def _await_checkpoint(self, config: str, file: str) -> None:
        """Prove the decision; a checkpoint over it follows within a second."""
        words = ("ledger", "prove", self.decision, "--config", config, "--output", file)
        end = time.monotonic() + _CHECKPOINT_WAIT
        while (done := command(*words, folder=self._stage.folder)).code != 0 and time.monotonic() < end:
            time.sleep(0.5)
        self._show(done)

    def _must(self, holds: bool, what: str) -> None:
        if not holds:
            raise Broken(what)


def _client(call: Call) -> str:
    return (call.form or {}).get("client_id") or "settlement-batch"
