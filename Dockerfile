# A static binary, nothing else. Calls need the host's network or a published
# UDP port with advertise set to the address that peers reach:
#
#   docker run --network host -v "$PWD/tandem.yaml:/etc/tandem/tandem.yaml:ro" -v tandem:/var/lib/tandem tandem
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
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["/usr/local/bin/tandem", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/tandem"]
CMD ["serve", "--config", "/etc/tandem/tandem.yaml"]
