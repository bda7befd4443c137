# One image for every process of kvmportal; docker-compose.yml says which command each runs.
# Debian's libvirt client library, so that it fits the daemons it talks to.

FROM debian:bookworm-slim AS front
RUN apt-get update && apt-get install --yes --no-install-recommends npm && rm -rf /var/lib/apt/lists/*
WORKDIR /srv/kvmportal
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts

FROM debian:bookworm-slim AS python
RUN apt-get update && apt-get install --yes --no-install-recommends \
        gcc libc6-dev libldap2-dev libsasl2-dev libvirt-dev pkg-config python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY requirements.txt .
RUN python3 -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.txt

FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends libldap-2.5-0 libsasl2-2 libvirt0 python3 spice-html5 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /srv/kvmportal kvmportal
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 MALLOC_ARENA_MAX=2 STATIC_ROOT=/srv/static
COPY --from=python /opt/venv /opt/venv
COPY --from=front /srv/kvmportal/node_modules /srv/kvmportal/node_modules
COPY . /srv/kvmportal
WORKDIR /srv/kvmportal
RUN SECRET_KEY=only-for-collecting-static-files-at-build python3 manage.py collectstatic --noinput --verbosity 0
USER kvmportal
CMD ["daphne", "-b", "0.0.0.0", "-p", "8000", "--no-server-name", "kvmportal.asgi:application"]
