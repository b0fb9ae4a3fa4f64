# A static binary, nothing else. It wants the host's network; README, "Run it", has
# the reasons. The config is mounted as a folder, because a file mounted alone
# stays the old one when an editor replaces it.
#
#   docker build -t tandem .      # or podman, or buildah: make image
#   docker run --network host -v /etc/tandem:/etc/tandem:ro -v tandem:/var/lib/tandem tandem
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/tandem ./cmd/tandem && mkdir /out/state

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/tandem /usr/local/bin/tandem
# Secrets and the operator's state: without this volume a restart loses the
# dialogs of calls that are up.
COPY --from=build --chown=65532:65532 /out/state /var/lib/tandem
VOLUME /var/lib/tandem
USER 65532:65532
# 8080 is admin and stays on loopback; it is for the health check, and for
# whoever shares this network namespace.
EXPOSE 5060/udp 8080/tcp
# SIGTERM drains: give it more than drain_timeout (docker stop --time 45).
STOPSIGNAL SIGTERM
# It asks the default admin address. With another one, write it in compose (test:
# [CMD, /usr/local/bin/tandem, healthcheck, --admin, ...]): there is no shell here,
# which docker run --health-cmd would need.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["/usr/local/bin/tandem", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/tandem"]
CMD ["serve", "--config", "/etc/tandem/tandem.yaml"]
