# The image: static binaries, the CA roots, and nothing else. For linux/amd64 and
# linux/arm64: each is compiled on a machine (or by QEMU) of its own architecture.
#
#   docker build -t supercargo .
#
# image/assemble makes the same image without a container engine. A test compares what
# the two say.

# The oldest Rust that is tested is in Cargo.toml; this is the one that releases are
# built with. Its base is the Debian whose glibc and CA roots go into the image.
ARG RUST_VERSION=1.95.0
ARG DEBIAN=bookworm
# Builds kustomize and Helm, as the modules in image/programs name them.
ARG GO_VERSION=1.26

FROM rust:${RUST_VERSION}-${DEBIAN} AS build
WORKDIR /src
COPY . .
ARG PROFILE=release
# Part of what makes two builds of one commit equal; buildx sets it for its own layers.
ARG SOURCE_DATE_EPOCH
RUN PROFILE=${PROFILE} image/build /out/supercargo \
    && install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ca-certificates.crt

FROM golang:${GO_VERSION}-${DEBIAN} AS programs
WORKDIR /src
COPY image/programs image/programs
RUN image/programs/build /out

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="supercargo" \
      org.opencontainers.image.description="A Kubernetes operator and CLI for configuration artifacts in OCI registries" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=programs /out/helm /helm
COPY --from=programs /out/kustomize /kustomize
COPY --from=build /out/supercargo /supercargo
ENV PATH=/
WORKDIR /
USER 65532:65532
ENTRYPOINT ["/supercargo"]
CMD ["--help"]
