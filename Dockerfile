# One image for the API, the worker and the migrations: they are versioned together.
FROM python:3.11-slim-bookworm

RUN useradd --system --create-home bookings
WORKDIR /app
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

# Before the source, so that a change of ours does not install everything again. The lock is the one that was tested.
COPY requirements.lock .
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock

COPY alembic.ini *.py ./
COPY activities activities
COPY api api
COPY models models
COPY workflows workflows

USER bookings
EXPOSE 8000
CMD ["python", "-m", "uvicorn", "api.app:create_app", "--factory", "--host", "0.0.0.0", "--port", "8000", "--no-access-log", "--timeout-keep-alive", "75"]
