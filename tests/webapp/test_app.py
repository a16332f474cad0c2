from __future__ import annotations


def test_home_needs_sign_in(client):
    """The home page sends a stranger to the sign-in page."""
    answer = client.get("/")
    assert answer.status_code == 302
    assert answer.location == "/login/"
    assert client.get("/login/").status_code == 200


def test_home(admin_client):
    """A signed-in administrator sees the home page."""
    answer = admin_client.get("/")
    assert answer.status_code == 200, answer.text
