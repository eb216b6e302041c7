"""Hawk headers and bewits, against the client libraries that people use."""

import base64

import mohawk
import pytest
import taskcluster
from hypothesis import given
from hypothesis import strategies as st

from tcbox.credentials import HawkError, bewit, hawk

NOW = 1_780_000_000_123
TOKEN = "t" * 44
URLS = st.builds(
    lambda scheme, host, port, path, query: f"{scheme}://{host}{port}/{path}{query}",
    st.sampled_from(["http", "https"]), st.sampled_from(["tc.example", "TC.Example", "localhost"]), st.sampled_from(["", ":8443", ":80"]),
    st.text("ab/%20.-", max_size=8).filter(lambda path: not path.startswith("/")), st.sampled_from(["", "?a=1", "?a=1&b=%2F"]),
)  # fmt: skip


@given(
    st.sampled_from(["GET", "POST", "put"]), URLS, st.binary(max_size=50),
    st.sampled_from(["", "application/json", "Application/JSON; charset=utf-8", "text/plain"]), st.sampled_from([None, "e30="]),
)  # fmt: skip
def test_signing_is_mohawks(method, url, content, kind, ext):
    """A header is signed as mohawk, the library under the Python client, signs it; and verifies."""
    theirs = mohawk.Sender(
        {"id": "me", "key": TOKEN, "algorithm": "sha256"}, url, method, content=content, content_type=kind,
        ext=ext, nonce="nonce1", _timestamp=NOW // 1000,
    ).request_header  # fmt: skip
    ours = hawk.sign_header("me", TOKEN, method=method, url=url, content=content, content_type=kind, ext=ext or "", now_ms=NOW, nonce="nonce1")
    header = hawk.parse_authorization(theirs)
    assert header == hawk.parse_authorization(ours)
    host, port, resource = hawk.target(url)
    assert hawk.verify(header, TOKEN, method=method, resource=resource, host=host, port=port)
    assert not hawk.verify(header, TOKEN + "x", method=method, resource=resource, host=host, port=port)
    assert not hawk.verify(header, TOKEN, method=method, resource=resource + "x", host=host, port=port)
    assert not hawk.verify(header, TOKEN, method=method, resource=resource, host=host, port=port + 1)
    assert header.hash == hawk.payload_hash(content, kind)


def test_the_published_examples():
    """The request, payload and application examples of Hawk's own description give its signatures."""
    key = "werxhqb98rpaxn39848xrunpaw3489ruxnpa98w4rxn"
    common = {"ts": 1353832234, "nonce": "j4h3g2", "resource": "/resource/1?b=1&a=2", "host": "example.com", "port": 8000, "ext": "some-app-ext-data"}
    assert hawk.mac(key, method="GET", **common) == "6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE="
    covered = hawk.payload_hash(b"Thank you for flying Hawk", "text/plain")
    assert covered == "Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuY="
    assert hawk.mac(key, method="POST", hash=covered, **common) == "aSe1DERmZuRl3pI36/9BdZmnErTw3sNzOOAUlfeKjVw="


GOOD = 'id="a", ts="1353832234", nonce="n", mac="m="'


@pytest.mark.parametrize(
    "header", [f"Hawk {GOOD}", f"hawk {GOOD}", f"HAWK   {GOOD}", f"Hawk {GOOD}, ", "Hawk " + GOOD.replace(", ", " ,"), "Hawk " + GOOD.replace(", ", ",")]
)
def test_headers_that_are_read(header):
    """The scheme's case, spaces and a comma at the end do not matter."""
    assert hawk.parse_authorization(header) == hawk.HawkHeader("a", 1353832234, "n", "m=")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("Basic abc", "Unauthorized: .*'Basic'"),
        ("Hawk", "Invalid header syntax"),
        ("Hawk ", "Invalid header syntax"),
        ("=", "Invalid header syntax"),
        (f'Hawk {GOOD}, foo="x"', "Unknown attribute: foo"),
        (f'Hawk {GOOD}, id="b"', "Duplicate attribute: id"),
        (f'Hawk {GOOD}, ext=""', "Bad attribute value: ext"),
        (f'Hawk {GOOD}, ext="é"', "Bad attribute value: ext"),
        (f"Hawk {GOOD}, ext=x", "Bad header format"),
        (f"Hawk , {GOOD}", "Bad header format"),
        ("Hawk " + GOOD.replace(",", ""), "Bad header format"),
        (f'Hawk {GOOD}, ext="a\\"', "Bad header format"),
        ('Hawk id="a", ts="1", nonce="n"', "Missing attributes: .* lacks mac"),
        ("Hawk " + GOOD.replace("1353832234", "soon"), "ts is 'soon'"),
        (f'Hawk {GOOD}, ext="{"x" * 4096}"', "Header length too long"),
    ],
)
def test_headers_that_are_refused(header, message):
    """What is not exactly Hawk is refused, with the place."""
    with pytest.raises(HawkError, match=message):
        hawk.parse_authorization(header)


@pytest.mark.parametrize("query", ["", "?a=1&b=2"])
def test_signed_urls_of_the_python_client(query):
    """A URL signed by the taskcluster client carries a bewit that verifies, and is the one made here."""
    client = taskcluster.Queue({"rootUrl": "https://tc.example:8443", "credentials": {"clientId": "me", "accessToken": TOKEN}})
    client.buildUrl = lambda *_, **__: f"https://tc.example:8443/api/queue/v1/x{query}"
    url = client.buildSignedUrl("ping", expiration=100)
    resource, code = bewit.strip(url.removeprefix("https://tc.example:8443"))
    assert resource == f"/api/queue/v1/x{query}"
    parsed = bewit.parse(code)
    assert parsed.id == "me"
    assert bewit.verify(parsed, TOKEN, resource=resource, host="tc.example", port=8443)
    assert not bewit.verify(parsed, TOKEN, resource=resource + "y", host="tc.example", port=8443)
    made = bewit.make("me", TOKEN, url=f"https://tc.example:8443/api/queue/v1/x{query}", expires_ms=parsed.exp * 1000, ext=parsed.ext)
    assert bewit.parse(made) == parsed


@pytest.mark.parametrize(
    ("resource", "signed"),
    [("/a?bewit=Q", "/a"), ("/a?x=1&bewit=Q", "/a?x=1"), ("/a?bewit=Q&x=1", "/a?x=1"), ("/a?x=1&bewit=Q&y=2", "/a?x=1&y=2")],
)
def test_the_bewit_is_taken_out_wherever_it_stands(resource, signed):
    """What was signed is the URL without its bewit."""
    assert bewit.strip(resource) == (signed, "Q")


def encoded(text):
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("a.b", "Invalid bewit encoding"),
        (encoded("one"), "Invalid bewit structure"),
        (encoded("a\\1\\m\\e\\more"), "Invalid bewit structure"),
        (encoded("a\\1\\\\"), "Missing bewit attributes"),
        (encoded("a\\soon\\m\\"), "'soon'"),
    ],
)
def test_bewits_that_are_refused(code, message):
    """A malformed bewit is refused, with what is wrong."""
    with pytest.raises(HawkError, match=message):
        bewit.parse(code)


@pytest.mark.parametrize(
    ("resource", "message"), [("/a?bewit=", "Empty bewit"), ("/a?bewit=a$b", "malformed"), (f"/a?bewit={'a' * 4096}", "exceeds max length")]
)
def test_resources_that_are_refused(resource, message):
    """A resource with no bewit in its bewit parameter, or too long a one, is refused."""
    with pytest.raises(HawkError, match=message):
        bewit.strip(resource)


@pytest.mark.parametrize("text", [
    'id="a", ts="1", nonce="n", mac="m="', 'id="a",ts="1", nonce="n", hash="h", ext="e", mac="m="', 'id="a" , ts="1", nonce="n", mac="m"  ', ', id="a"', 'id="a", id="b"',
    'id="", ts="1"', 'id="a\\", ts="1"', 'id="\xe9", ts="1"', 'id="a", ts="1" nonce="n"', 'id="a', 'id="a",', 'ida="a"', 'id=""a"', '"', "", 'id="a"ts="1"', "id=\"a\tb\"",
    'id="a~b!#$%&\'()*+,-./:;<=>?@[]^_`{|}~ 0"', 'id="a", ts="1", id="a"', 'id="a", nonce="\x7f"',
])  # fmt: skip
def test_the_short_way_reads_as_the_grammar_does(text):
    """A header that is read by splitting has the attributes that the grammar gives; any other is left to the grammar."""
    quick = hawk._usual(text)
    if quick is not None:
        assert quick == hawk._attributes(text)
