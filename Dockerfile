# The image of controller and proxies, for everyone with Docker:
#
#   docker build -t fairlead:0.1.0 --build-arg COMMIT="$(git rev-parse --short=12 HEAD)" .
#
# `make image` makes one of the same kind without Docker; conformance/local/tests/test_images.py checks that both agree.
FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
# What `fairlead version` says it was built from; may be left out.
ARG COMMIT=
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    FAIRLEAD_COMMIT="$COMMIT" cargo build --release --locked && \
    install -D target/release/fairlead /image/fairlead

# glibc, libgcc and the CAs' certificates, and neither shell nor package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /image/fairlead /usr/bin/fairlead
USER 65532:65532
ENTRYPOINT ["/usr/bin/fairlead"]
