# The two images of Holdfast:
#   docker build --target controller --tag holdfast/controller:0.1.0 .
#   docker build --target node --tag holdfast/node:0.1.0 .

FROM debian:12 AS build
# To compile the driver, and the programs that a node runs.
RUN apt-get update && apt-get install -y --no-install-recommends \
    g++ cmake ninja-build mold pkg-config \
    libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libabsl-dev \
    libmount-dev libblkid-dev libspdlog-dev libfmt-dev libsqlite3-dev libssl-dev libcli11-dev \
    libcurl4-openssl-dev nlohmann-json3-dev prometheus-cpp-dev libcivetweb-dev \
    xfsprogs btrfs-progs e2fsprogs \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /holdfast
COPY CMakeLists.txt CMakePresets.json ./
COPY proto proto
COPY src src
COPY tools/holdfastctl tools/holdfastctl
COPY bench/measure.cc bench/measure.h bench/
RUN cmake --preset release -DHOLDFAST_TESTS=OFF -DHOLDFAST_BENCH=OFF \
    && cmake --build build/release --target holdfast holdfastctl
COPY deploy/image deploy/image
RUN BIN=build/release deploy/image/assemble controller /images/controller \
    && BIN=build/release deploy/image/assemble node /images/node

# It touches no machine: nobody, and no program but its own.
FROM scratch AS controller
COPY --from=build /images/controller /
USER 65532:65532
ENTRYPOINT ["/usr/bin/holdfast"]
CMD ["controller"]

FROM scratch AS node
COPY --from=build /images/node /
ENTRYPOINT ["/usr/bin/holdfast"]
CMD ["node"]
