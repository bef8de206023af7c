# A small image with the program alone:
#
#   docker build -t engraft .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" -v engraft:/cache engraft fit photos --out runs/first
#
# The program is linked with musl, statically, so that the image needs no system around it. Certificates are in it.

FROM rust:1.95.0-alpine AS build
# A C compiler and its headers: ring, zstd-sys, psm, stacker and tract-linalg hold C or assembler.
RUN apk add --no-cache build-base
WORKDIR /source
COPY . .
RUN cargo build --release --locked -p engraft-cli --all-features
# What the final image cannot make for itself: folders that any user may write to.
RUN mkdir -p /image/work /image/cache /image/tmp && chmod 1777 /image/work /image/cache /image/tmp

FROM scratch
COPY --from=build /source/target/release/engraft /usr/local/bin/engraft
COPY --from=build /image /
COPY LICENSE-APACHE LICENSE-MIT /
# The features' cache, and the bases that were pulled.
ENV ENGRAFT_CACHE=/cache/engraft HF_HOME=/cache/huggingface TORCH_HOME=/cache/torch PATH=/usr/local/bin
WORKDIR /work
USER 65532:65532
ENTRYPOINT ["engraft"]
