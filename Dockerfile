# The operator's image: the program, its libraries and what it is made of in an empty root, as a user without rights.
#
#   docker build --build-arg REVISION=$(git rev-parse --short=12 HEAD) --tag stellar-operator:0.1.0 .
#
# Reproducible as far as the toolchain is: versions are pinned by Cargo.lock and the tag below, times are fixed by image/root.
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
