"""`python -m sandbox up | token | alembic-check`."""

import argparse
import sys
from typing import get_args

from sandbox import alembic_check, configuration, keys, stack
from sandbox.errors import ConfigurationError, SandboxError
from sandbox.tokens import Issuer, Role


def _up(_: argparse.Namespace) -> None:
    stack.main()


def _alembic_check(_: argparse.Namespace) -> None:
    sys.exit(alembic_check.main())


def _token(options: argparse.Namespace) -> None:
    configured = configuration.read()
    run_dir = configured.run_dir.absolute()
    if not run_dir.exists():
        raise ConfigurationError(
            f"No stack has run on {run_dir} yet, so there is no secret to sign with: make up first."
        )
    issuer = Issuer(keys.load(run_dir, configured).jwt_secret, configured.jwt_issuer, configured.jwt_audience)
    print(issuer.token(options.role, options.sub, name=options.name, email=options.email))  # noqa: T201 - its purpose


def main() -> None:
    """Dispatch to one of the commands."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="The outside world on one machine."
    )
    commands = parser.add_subparsers(required=True)
    commands.add_parser("up", help="start the whole stack, serve until Ctrl-C").set_defaults(run=_up)
    check = commands.add_parser(
        "alembic-check", help="prove the migrations on a database that is thrown away"
    )
    check.set_defaults(run=_alembic_check)
    token = commands.add_parser("token", help="print a token for the sandbox's API")
    token.set_defaults(run=_token)
    token.add_argument("--role", choices=get_args(Role), required=True)
    token.add_argument("--sub", required=True, help="the client's or provider's id")
    token.add_argument("--name")
    token.add_argument("--email")
    options = parser.parse_args()
    try:
        options.run(options)
    except SandboxError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
