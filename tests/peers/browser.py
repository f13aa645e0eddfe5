#!/usr/bin/env python3
"""A scripted browser: opens the address, follows redirects, keeps cookies, fills in the forms of a sign-in as one person.

Standard library only. Meant for the BROWSER variable: BROWSER="python3 tests/peers/browser.py --as ana".

  --as NAME       what goes into the login field (default: ana)
  --deny          follows the page's cancel link instead of sending the consent form
  --close         opens the first page and goes away, as a person who closes the window
  --record FILE   appends one JSON line: each address without its query, each status, the text of the last page
"""

import argparse
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser
from http.cookiejar import CookieJar

AGENT = "scripted-browser/1"
MOST_PAGES = 12


class Page(HTMLParser):
    """The forms, links and visible text of one page."""

    def __init__(self, text: str):
        super().__init__()
        self.forms: list[dict] = []
        self.links: list[tuple[str, str]] = []
        self.words: list[str] = []
        self._link: str | None = None
        self._silent = 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag in ("style", "script"):
            self._silent += 1
        elif tag == "form":
            self.forms.append({"action": values.get("action", ""), "method": values.get("method", "get"), "fields": {}})
        elif tag == "input" and self.forms and values.get("name"):
            self.forms[-1]["fields"][values["name"]] = (values.get("type", "text"), values.get("value") or "")
        elif tag == "a":
            self._link = values.get("href")

    def handle_endtag(self, tag):
        if tag in ("style", "script"):
            self._silent -= 1
        elif tag == "a":
            self._link = None

    def handle_data(self, data):
        word = data.strip()
        if word and not self._silent:
            self.words.append(word)
            if self._link:
                self.links.append((word, self._link))


class Browser:
    """One window with its own cookies."""

    def __init__(self):
        self.seen: list[dict] = []
        browser = self

        class Redirects(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, request, body, code, message, headers, new_address):
                browser.note(request.full_url, code)
                return super().redirect_request(request, body, code, message, headers, new_address)

        cookies = urllib.request.HTTPCookieProcessor(CookieJar())
        no_proxy = urllib.request.ProxyHandler({})
        self.opener = urllib.request.build_opener(no_proxy, cookies, Redirects())

    def note(self, address: str, status: int) -> None:
        self.seen.append({"url": urllib.parse.urlsplit(address)._replace(query="", fragment="").geturl(), "status": status})

    def go(self, address: str, fields: dict | None = None) -> tuple[str, str]:
        """Opens an address and returns where it ended and what stands there. Raises OSError if nobody answers."""
        body = urllib.parse.urlencode(fields).encode() if fields is not None else None
        request = urllib.request.Request(address, data=body, headers={"User-Agent": AGENT, "Accept": "text/html"})
        try:
            answer = self.opener.open(request, timeout=90)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            self.note(answer.geturl(), answer.status)
            return answer.geturl(), answer.read().decode("utf-8", "replace")

    def sign_in(self, address: str, name: str, deny: bool = False, close: bool = False) -> str:
        """Walks through the forms until a page has none; returns that page's text."""
        where, text = self.go(address)
        for _ in range(MOST_PAGES):
            page = Page(text)
            if close or not page.forms:
                return " ".join(page.words)
            form = page.forms[0]
            asks_who = any(kind == "text" for kind, _ in form["fields"].values())
            if deny and not asks_who:
                cancel = next(target for word, target in page.links if "cancel" in word.lower())
                where, text = self.go(urllib.parse.urljoin(where, cancel))
                continue
            fill = {"text": name, "email": name, "password": "any"}
            fields = {field: fill.get(kind, value) for field, (kind, value) in form["fields"].items()}
            where, text = self.go(urllib.parse.urljoin(where, form["action"]), fields)
        raise RuntimeError(f"no end of forms at {where}")


def main() -> int:
    """Reads the arguments, signs in and says how it ended; exit code 1 if nobody answered."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--as", dest="name", default="ana")
    parser.add_argument("--deny", action="store_true")
    parser.add_argument("--close", action="store_true")
    parser.add_argument("--record")
    parser.add_argument("address")
    options = parser.parse_args()
    browser = Browser()
    try:
        text = browser.sign_in(options.address, options.name, options.deny, options.close)
        code = 0
    except (OSError, RuntimeError) as error:
        text = f"error: {error}"
        code = 1
    if options.record:
        with open(options.record, "a") as record:
            record.write(json.dumps({"as": options.name, "pages": browser.seen, "text": text}) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
