FROM python:3.11-slim

# What OpenCV and MediaPipe need.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libegl1 libgles2 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY . .
RUN pip install --no-cache-dir ".[serve]"

RUN useradd --create-home handseg
USER handseg
WORKDIR /home/handseg

EXPOSE 8000
CMD ["handseg", "serve", "--host", "0.0.0.0"]
