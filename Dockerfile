# One image for every process of Vigil: web, worker, chores, beat, dispatcher.
FROM python:3.12-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/vigil/venv
COPY requirements.txt /tmp/requirements.txt
RUN /opt/vigil/venv/bin/pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt

FROM python:3.12-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /opt/vigil --shell /usr/sbin/nologin vigil \
    && install -d -o vigil -g vigil -m 0700 /var/lib/vigil
COPY --from=build /opt/vigil/venv /opt/vigil/venv
COPY --chown=root:root . /opt/vigil/app
WORKDIR /opt/vigil/app
ENV PATH=/opt/vigil/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    VIGIL_DATA_DIR=/var/lib/vigil
USER vigil
EXPOSE 8000
# tini reaps what a killed worker leaves behind.
ENTRYPOINT ["tini", "--"]
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", \
     "--blocking-threads", "16", "--respawn-failed-workers", "--workers-kill-timeout", "8", \
     "vigil.wsgi:application"]
