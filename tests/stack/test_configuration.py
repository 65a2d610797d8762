import stat
import sys
from pathlib import Path

import jwt
import pytest

from sandbox import configuration, keys
from sandbox.errors import AlreadyRunningError, ConfigurationError
from sandbox.parts import Parts
from sandbox.run_dir import sole_owner
from sandbox.tokens import Issuer

PORTS = {
    "API_PORT": 1,
    "METRICS_PORT": 2,
    "POSTGRES_PORT": 3,
    "TEMPORAL_PORT": 4,
    "TEMPORAL_UI_PORT": 5,
    "STRIPE_PORT": 6,
    "MAIL_PORT": 7,
    "MAIL_HTTP_PORT": 8,
}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in configuration.Configuration.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def parts(run_dir: Path) -> Parts:
    configured = configuration.read()
    ports = {variable: PORTS[variable] for variable in configured.wanted_ports()}
    return Parts(configured, keys.load(run_dir, configured), ports, run_dir)


def test_everything_runs_here_unless_it_is_said_to_be_elsewhere(tmp_path: Path) -> None:
    assert parts(tmp_path).ports == PORTS


def test_a_part_that_is_elsewhere_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.example.com/bookings")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example.com:7233")
    monkeypatch.setenv("SMTP_URL", "smtp://mail.example.com")
    elsewhere = parts(tmp_path)
    assert set(elsewhere.ports) == {"API_PORT", "METRICS_PORT", "STRIPE_PORT"}
    told = elsewhere.environment()
    assert told["DATABASE_URL"] == "postgresql+asyncpg://db.example.com/bookings"
    assert told["TEMPORAL_ADDRESS"] == "temporal.example.com:7233"
    assert told["SMTP_URL"] == "smtp://mail.example.com"


def test_the_real_stripe_needs_all_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_real")
    monkeypatch.setenv("STRIPE_PUBLISHABLE_KEY", "pk_test_real")
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_real")
    with pytest.raises(
        ConfigurationError,
        match=r"^STRIPE_SECRET_KEY is set, so STRIPE_CONNECT_WEBHOOK_SECRET must be given too\.$",
    ):
        configuration.read()


def test_the_real_stripe_has_no_base_address_and_no_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SECRET_KEY", "PUBLISHABLE_KEY", "WEBHOOK_SECRET", "CONNECT_WEBHOOK_SECRET"):
        monkeypatch.setenv(f"STRIPE_{name}", f"real {name}")
    real = parts(tmp_path)
    assert "STRIPE_PORT" not in real.ports
    assert real.stripe_control_url is None
    assert "STRIPE_API_BASE" not in real.environment()
    assert real.environment()["STRIPE_SECRET_KEY"] == "real SECRET_KEY"


def test_a_port_that_is_none_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "http")
    with pytest.raises(ConfigurationError, match=r"^API_PORT=http: [^\n]+$"):
        configuration.read()


def test_secrets_are_drawn_once_and_kept_private(tmp_path: Path) -> None:
    first, second = parts(tmp_path).keys, parts(tmp_path).keys
    assert first == second
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_policy_windows_pass_through_and_the_metrics_port_is_the_workers_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYOUT_HOLD", "PT20S")
    monkeypatch.setenv("METRICS_PORT", "9464")
    told = parts(tmp_path)
    (worker,) = told.workers()
    assert worker.env["PAYOUT_HOLD"] == "PT20S"
    assert "METRICS_PORT" not in told.api().env
    assert worker.env["METRICS_PORT"] == str(PORTS["METRICS_PORT"])


def test_several_workers_share_the_work_each_with_a_metrics_port_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKERS", "3")
    monkeypatch.setitem(PORTS, "METRICS_PORT_2", 9)
    monkeypatch.setitem(PORTS, "METRICS_PORT_3", 10)
    workers = parts(tmp_path).workers()
    assert [worker.name for worker in workers] == ["worker", "worker-2", "worker-3"]
    assert [worker.env["METRICS_PORT"] for worker in workers] == ["2", "9", "10"]


def test_another_program_can_be_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_PROGRAM", "-m tests.another 'with arguments'")
    (worker,) = parts(tmp_path).workers()
    assert worker.argv == [sys.executable, "-m", "tests.another", "with arguments"]


def test_a_stack_without_a_worker_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "0")
    with pytest.raises(ConfigurationError, match=r"^WORKERS=0: [^\n]+$"):
        configuration.read()


def test_a_second_stack_on_the_same_directory_is_one_sentence(tmp_path: Path) -> None:
    with (
        sole_owner(tmp_path),
        pytest.raises(AlreadyRunningError, match=r"^A stack runs on \S+ already [^\n]+$"),
        sole_owner(tmp_path),
    ):
        pass
    with sole_owner(tmp_path):
        pass


def test_a_token_says_who_and_what_somebody_is() -> None:
    token = Issuer("s" * 32, "issuer", "audience").token("client", "client-1", email="a@example.com")
    claims = jwt.decode(token, "s" * 32, algorithms=["HS256"], issuer="issuer", audience="audience")
    assert {"sub": "client-1", "role": "client", "email": "a@example.com"}.items() <= claims.items()
    assert claims["exp"] > claims["iat"]
    assert "name" not in claims
