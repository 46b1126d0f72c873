# The course in a container; also what Binder and .devcontainer build.
#
#     docker build -t course .
#     docker run --rm -p 8888:8888 course                       # JupyterLab; open the address that it prints
#     docker run --rm -v "$PWD/results:/home/learner/course/results" course make run
#
# On Linux pip's torch brings several gigabytes of CUDA. For CPUs alone give the index of CPU wheels that PyTorch's page
# names: docker build --build-arg TORCH_INDEX=… -t course .   For GPUs: docker run --gpus all …
FROM python:3.11-slim

ARG TORCH_INDEX=
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bubblewrap chromium git make \
    && rm -rf /var/lib/apt/lists/*

# Binder runs as this user, and nothing in the course needs another.
RUN useradd --create-home --uid 1000 learner
USER learner
WORKDIR /home/learner/course
ENV PATH=/home/learner/.venv/bin:$PATH PIP_NO_CACHE_DIR=1

# Packages first, so that a change of the course's own files doesn't install them again; and not in the course's folder,
# over which .devcontainer mounts the one that is edited.
COPY --chown=learner pyproject.toml constraints.txt README.md ./
RUN python -m venv ~/.venv \
    && if [ -n "$TORCH_INDEX" ]; then pip install --index-url "$TORCH_INDEX" "$(grep ^torch== constraints.txt)"; fi \
    && mkdir labkit && touch labkit/__init__.py \
    && pip install -c constraints.txt -e '.[dev]'
COPY --chown=learner . .
RUN ln -s ~/.venv .venv && touch .venv/.installed

EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser", "notebooks/00_start_here.ipynb"]
