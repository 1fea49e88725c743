"""Who may use the studio: whoever has its token, from this machine, by a page of its own."""

from __future__ import annotations

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Nothing is fetched from elsewhere, no script or style stands in a page, and no other page may frame the studio.
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; media-src 'self'; "
    "frame-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
# A run's own report: its styles stand in it, it runs no script, and it reaches nothing.
REPORT_POLICY = (
    "sandbox allow-downloads; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
)
NOT_ALLOWED = "This address needs the studio's token: open the address that `keras-kd studio` has printed."


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(24)


class Access:
    """An application behind its token: the address with it sets a cookie, which every further request must bring.

    Args:
        app: What is protected.
        token: The secret.
        port: Of the address that browsers use.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self.app = app
        self.token = token.encode()
        # Cookies know no ports: two studios on one machine would take each other's.
        self.cookie = f"keras-kd-studio-{port}"
        self.hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refused = self._refused(scope) if scope["type"] == "http" else PlainTextResponse("No such thing.", 404)
        if refused is not None:
            await refused(scope, receive, _with_policy(send))
            return
        await self.app(scope, receive, _with_policy(send))

    def _refused(self, scope: Scope) -> PlainTextResponse | RedirectResponse | None:
        """The answer to who may not pass, and to who brings the token in the address; None for who passes."""
        headers = Headers(scope=scope)
        if headers.get("host", "").lower() not in self.hosts:
            # A name of the attacker's that leads to 127.0.0.1 arrives with that name.
            return PlainTextResponse("The studio answers on 127.0.0.1 and localhost alone.", 421)
        if scope["method"] not in ("GET", "HEAD"):
            origin = headers.get("origin")
            if origin is None or urlsplit(origin).netloc.lower() != headers["host"].lower():
                return PlainTextResponse("Changes are made by the studio's own pages alone.", 403)
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = query.pop("token", [""])[0]
        if scope["method"] == "GET" and self._is_token(given):
            # The token leaves the address, so that it stands in no history and no screenshot.
            rest = urlencode(query, doseq=True)
            answer = RedirectResponse(scope["path"] + (f"?{rest}" if rest else ""), 303)
            answer.set_cookie(self.cookie, given, httponly=True, samesite="strict", path="/")
            return answer
        if not self._is_token(_cookie(headers, self.cookie)):
            return PlainTextResponse(NOT_ALLOWED, 403)
        return None

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token)


def _cookie(headers: Headers, name: str) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""


def _with_policy(send: Send) -> Send:
    """The same, with headers that keep pages from reaching elsewhere; what has a policy of its own keeps it."""

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("content-security-policy", POLICY)
            headers["x-content-type-options"] = "nosniff"
            headers["referrer-policy"] = "no-referrer"
            headers["cross-origin-opener-policy"] = "same-origin"
            headers["cross-origin-resource-policy"] = "same-origin"
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return answer
