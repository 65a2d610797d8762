"""The pages that people see in a browser: the bank's 3D Secure step, and an account's onboarding."""

from html import escape
from urllib.parse import urlencode, urlsplit, urlunsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox.stripe import form
from sandbox.stripe.control.reading import state_of
from sandbox.stripe.control.subjects import finish_authentication
from sandbox.stripe.store import Object

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body{{font:16px system-ui;max-width:28rem;margin:4rem auto;padding:0 1rem}}button{{font:inherit;padding:.5rem 1rem}}</style>
<h1>{title}</h1>{body}</html>"""
LAST_ERRORS = {"payment_intent": "last_payment_error", "setup_intent": "last_setup_error"}
QUESTION = """<p>The sandbox's bank asks you to approve {subject}.</p>
<form method="post"><button name="outcome" value="success">Complete authentication</button>
<button name="outcome" value="fail">Fail authentication</button></form>"""


async def ask(request: Request) -> Response:
    """The bank's question, for whoever has the intent's client secret."""
    intent = _intent(request)
    if intent["status"] != "requires_action":
        return _page("Nothing to approve", f"<p>It is {escape(intent['status'])}.</p>")
    return _page("3D Secure authentication", QUESTION.format(subject=_subject(intent)))


async def answer(request: Request) -> Response:
    """What the cardholder chose; then back to where the payment came from."""
    intent = _intent(request)
    chosen = dict(form.pairs((await request.body()).decode(errors="replace"))).get("outcome")
    intent = finish_authentication(
        state_of(request), intent["object"], intent["id"], success=chosen == "success"
    )
    if not intent["_return_url"]:
        return _page("Done", f"<p>It is {escape(intent['status'])}.</p>")
    kind = intent["object"]
    outcome = {
        kind: intent["id"],
        f"{kind}_client_secret": intent["client_secret"],
        "redirect_status": "failed" if intent[LAST_ERRORS[kind]] else "succeeded",
    }
    return RedirectResponse(_with_query(intent["_return_url"], outcome), status_code=303)


async def onboard(request: Request) -> Response:
    """Accounts need no onboarding in the sandbox: straight back."""
    back = request.query_params.get("return_url")
    if back:
        return RedirectResponse(back, status_code=303)
    return _page("Onboarding", "<p>In the sandbox an account is ready at once.</p>")


def _subject(intent: Object) -> str:
    if intent["object"] == "setup_intent":
        return "that your card is kept for later payments"
    return f"a payment of {intent['amount']} minor units of {escape(intent['currency'])}"


def _intent(request: Request) -> Object:
    intent = state_of(request).store.find(request.path_params["id"])
    known = intent is not None and intent["object"] in LAST_ERRORS
    if intent is None or not known or intent["client_secret"] != request.query_params.get("secret"):
        raise HTTPException(404, "no such payment")
    return intent


def _with_query(url: str, outcome: dict[str, str]) -> str:
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, urlencode(outcome))))
    return urlunsplit(parts._replace(query=query))


def _page(title: str, body: str) -> HTMLResponse:
    return HTMLResponse(PAGE.format(title=title, body=body))


ROUTES = [
    Route("/authenticate/{id}", ask, methods=["GET"]),
    Route("/authenticate/{id}", answer, methods=["POST"]),
    Route("/onboarding/{id}", onboard, methods=["GET"]),
]
