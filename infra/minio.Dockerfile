# syntax=docker/dockerfile:1
# MinIO at the version that foz is tested on (localdev/with-minio); its source is all that is
# still published.
FROM golang:1.26-bookworm AS build
ENV CGO_ENABLED=0
RUN go install github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c && mkdir /disk

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /go/bin/minio /minio
COPY --from=build --chown=65532:65532 /disk /disk
USER 65532:65532
EXPOSE 9000
VOLUME /disk
ENTRYPOINT ["/minio"]
CMD ["server", "--quiet", "--address", ":9000", "/disk"]
