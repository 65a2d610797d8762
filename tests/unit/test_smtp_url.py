"""What SMTP_URL may say, and what it never gives away."""

import pytest
from pydantic import SecretStr

from activities.mail import Server
from activities.notifications import Postman
from activities.stripe_gateway import utc_now
from models.database import Database
from settings import MailSettings


@pytest.mark.parametrize(
    ("url", "where", "who"),
    [
        ("smtp://mail.example", ("mail.example", 25, False), (None, None)),
        ("smtp://127.0.0.1:1025", ("127.0.0.1", 1025, False), (None, None)),
        ("smtp://user:pass@mail.example", ("mail.example", 587, False), ("user", "pass")),
        ("smtps://user:p%40ss%2Fword@mail.example", ("mail.example", 465, True), ("user", "p@ss/word")),
        ("smtps://us%40er:x@[::1]:4650/", ("::1", 4650, True), ("us@er", "x")),
    ],
)
def test_an_smtp_url_names_the_server_and_who_we_are(
    url: str, where: tuple[str, int, bool], who: tuple[str | None, str | None]
) -> None:
    server = Server.parse(url)
    assert (server.host, server.port, server.tls) == where
    assert (server.username, server.password and server.password.get_secret_value()) == who
    assert "pass" not in repr(server).replace("password=", "")


@pytest.mark.parametrize(
    "url",
    [
        "mail.example",
        "http://mail.example",
        "smtp://",
        "smtp://u:hunter2@h:70000",
        "smtp://u:hunter2@h:x",
        "smtp://u:hunter2@h/inbox",
        "smtp://u:hunter2#1@h",
    ],
)
def test_what_is_no_smtp_url_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="SMTP_URL") as raised:
        Server.parse(url)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "start_tls"),
    [
        ("smtp://user:pass@mail.example", True),
        ("smtp://user:pass@127.0.0.1:1025", None),
        ("smtp://mail.example", None),
        ("smtps://user:pass@mail.example", False),
    ],
)
def test_a_password_leaves_the_machine_only_encrypted(url: str, *, start_tls: bool | None) -> None:
    assert Server.parse(url).start_tls is start_tls


def test_mails_come_from_somebody_or_none_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_URL", "smtp://user:hunter2@mail.example")
    monkeypatch.delenv("MAIL_FROM", raising=False)
    with pytest.raises(ValueError, match="MAIL_FROM must be given too") as raised:
        MailSettings()
    assert "hunter2" not in str(raised.value)


async def test_settings_that_cannot_work_are_found_at_the_start(database: Database) -> None:
    broken = MailSettings(smtp_url=SecretStr("mail.example"), mail_from="a@b.example")
    with pytest.raises(ValueError, match="SMTP_URL"):
        Postman.hire(database, broken, utc_now)
