# The operator's image: the program, its libraries and its SBOM in an empty root, run as an unprivileged user.
#
#   docker build --build-arg REVISION=$(git rev-parse --short=12 HEAD) --tag stellar-operator:0.1.0 .
#
# As reproducible as the toolchain: Cargo.lock and the tag below pin the versions, and image/root sets fixed times.
FROM docker.io/library/rust:1.95-slim-trixie AS build
WORKDIR /build
COPY . .
ARG REVISION=
ENV STELLAR_OPERATOR_REVISION=$REVISION
RUN cargo build --release --locked --bin stellar-operator && image/sbom target/stellar-operator.cdx.json && \
  image/root target/release/stellar-operator /root-of-image target/stellar-operator.cdx.json

FROM scratch
COPY --from=build /root-of-image /
USER 65532:65532
ENV PATH=/usr/local/bin
ENTRYPOINT ["stellar-operator"]
CMD ["run"]
