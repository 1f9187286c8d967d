# Landscribe on a processor: docker build -t landscribe . ; docker run --rm -v "$PWD:/data" landscribe run city.toml --run runs/city
# Python 3.13 on Debian. All libraries come as wheels, GDAL within them; nothing of the system is needed but libgomp.
FROM python:3.13-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY recipes recipes
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.13-slim-bookworm
# The index of torch's builds for processors alone: those of PyPI bring gigabytes of CUDA.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    --mount=type=bind,source=constraints.txt,target=/constraints.txt \
    pip install --no-cache-dir --constraint /constraints.txt --index-url "${TORCH_INDEX}" --extra-index-url https://pypi.org/simple torch \
    && pip install --no-cache-dir --constraint /constraints.txt /wheels/*.whl \
    && landscribe --version
RUN useradd --create-home --uid 1000 landscribe
USER 1000
WORKDIR /data
ENTRYPOINT ["landscribe"]
CMD ["--help"]
