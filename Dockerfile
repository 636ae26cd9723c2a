# For `docker compose up` on a laptop or a server; balena's builders use Dockerfile.template, which differs in its first lines alone
# (a test compares them).
ARG BUILDER=swift:6.3-bookworm
ARG RUNTIME=debian:bookworm-slim

FROM ${BUILDER} AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
        libsqlite3-dev libsndfile1-dev libsoxr-dev libcurl4-openssl-dev zlib1g-dev libssl-dev libpq-dev libsnappy-dev libmosquitto-dev libgpiod-dev \
        libasound2-dev libnetcdf-dev libblosc-dev libopenjp2-7-dev pkg-config python3 python3-pip unzip ca-certificates \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Package.swift ./
COPY Sources Sources
COPY Tests Tests
COPY Benchmarks Benchmarks
COPY scripts scripts
RUN swift build -c release --static-swift-stdlib -debug-info-format none --product edge-aggregator \
    && install -D -s .build/release/edge-aggregator /out/edge-aggregator
# The model has a licence of its own (CC BY-NC-SA 4.0, no commercial use); leave it out with --build-arg MODELS=no.
ARG MODELS=yes
RUN mkdir -p /out/models && if [ "$MODELS" = yes ]; then scripts/fetch-models.sh /out/models /out/samples && rm -rf /out/samples; fi

FROM ${RUNTIME}
RUN apt-get update && apt-get install -y --no-install-recommends \
        libsqlite3-0 libsndfile1 libsoxr0 libcurl4 zlib1g libssl3 libpq5 libsnappy1v5 libmosquitto1 libgpiod2 libasound2 libnetcdf19 libblosc1 \
        libopenjp2-7 libstdc++6 ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY image/container/setup /tmp/setup
RUN sh /tmp/setup && rm /tmp/setup
COPY --from=build /out/edge-aggregator /usr/bin/edge-aggregator
COPY --from=build /out/models /usr/share/edge-aggregator/models
COPY image/container/start /usr/bin/edge-aggregator-start
ENV BASE_DIR=/data MODELS_DIR=/usr/share/edge-aggregator/models UPDATE_LOCK_FILE=/tmp/balena/updates.lock LOG_FORMAT=json LOG_FILE_MAX_BYTES=4000000 SAFE_MODE_AFTER=3
# Beside its own port those of the replaced services, so that they can be published under their numbers; each answers everything.
ENV LISTEN=0.0.0.0:8000,0.0.0.0:8080,0.0.0.0:5000,0.0.0.0:9100,0.0.0.0:9000
VOLUME /data
EXPOSE 8000 8001 8080 5000 9100 9000
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=5 CMD ["edge-aggregator", "healthcheck"]
# Not root: the start gives /data to its user first, which a volume made by an older container may need.
ENTRYPOINT ["/usr/bin/edge-aggregator-start"]
