class SandboxError(Exception):
    """Something that the person at the keyboard has to put right; the message is one sentence that says what.

    SandboxError
    ├── ConfigurationError        the environment does not make sense
    ├── PortUnavailableError      a port is taken, or given twice
    ├── AlreadyRunningError       another stack holds the run directory
    ├── LeftoverError             a process of a killed stack does not go away
    ├── PostgresUnavailableError  Postgres cannot run here
    ├── TemporalUnavailableError  Temporal cannot run here
    └── ChildFailedError          a child or a task did not do its work
    """


class ConfigurationError(SandboxError):
    """The environment does not make sense; the message names the variable."""


class PortUnavailableError(SandboxError):
    """A wanted port cannot be had; the message names the port and the variable to change."""


class AlreadyRunningError(SandboxError):
    """Another stack holds the run directory."""


class LeftoverError(SandboxError):
    """A process of a killed stack does not go away."""


class PostgresUnavailableError(SandboxError):
    """Postgres cannot run here."""


class TemporalUnavailableError(SandboxError):
    """There is no Temporal server to run."""


class ChildFailedError(SandboxError):
    """A child or a task did not do its work."""
