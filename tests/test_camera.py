"""The camera of examples/ gives the pixels that training has read: compiled with a camera that gives a picture of the test."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from emitted_c import PICTURE, frames_of, stage, written
from PIL import Image
from support import WARNINGS

from micro.detection.recognizer import Recognizer
from micro.firmware.project import project_files

# What esp32-camera 2.0 declares, in two headers, of which one is called as that of projects is.
SENSOR = """
#pragma once
typedef enum { PIXFORMAT_RGB565, PIXFORMAT_GRAYSCALE = 3 } pixformat_t;
typedef enum { FRAMESIZE_96X96, FRAMESIZE_QQVGA, FRAMESIZE_QCIF, FRAMESIZE_HQVGA, FRAMESIZE_240X240, FRAMESIZE_QVGA,
  FRAMESIZE_CIF, FRAMESIZE_HVGA, FRAMESIZE_VGA, FRAMESIZE_SVGA, FRAMESIZE_XGA, FRAMESIZE_HD, FRAMESIZE_SXGA, FRAMESIZE_UXGA
} framesize_t;
"""
CAMERA = """
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "sensor.h"
typedef int esp_err_t;
#define ESP_OK 0
typedef enum { LEDC_TIMER_0 } ledc_timer_t;
typedef enum { LEDC_CHANNEL_0 } ledc_channel_t;
typedef enum { CAMERA_GRAB_WHEN_EMPTY, CAMERA_GRAB_LATEST } camera_grab_mode_t;
typedef enum { CAMERA_FB_IN_PSRAM, CAMERA_FB_IN_DRAM } camera_fb_location_t;
typedef struct {
  int pin_pwdn; int pin_reset; int pin_xclk; int pin_sccb_sda; int pin_sccb_scl; int pin_d7; int pin_d6; int pin_d5; int pin_d4;
  int pin_d3; int pin_d2; int pin_d1; int pin_d0; int pin_vsync; int pin_href; int pin_pclk; int xclk_freq_hz;
  ledc_timer_t ledc_timer; ledc_channel_t ledc_channel; pixformat_t pixel_format; framesize_t frame_size; int jpeg_quality;
  size_t fb_count; camera_fb_location_t fb_location; camera_grab_mode_t grab_mode; int sccb_i2c_port;
} camera_config_t;
typedef struct { uint8_t *buf; size_t len; size_t width; size_t height; pixformat_t format; } camera_fb_t;
esp_err_t esp_camera_init(const camera_config_t *config);
camera_fb_t *esp_camera_fb_get(void);
void esp_camera_fb_return(camera_fb_t *fb);
"""
# Two pictures of a size come in from standard input behind three that fail each, and all pixels go out as floats.
MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include "esp_camera.h"
#include "sensor.h"
static camera_fb_t frame;
static int out;
esp_err_t esp_camera_init(const camera_config_t *config) { return config->frame_size == WANTED ? ESP_OK : -1; }
camera_fb_t *esp_camera_fb_get(void) {
  static camera_fb_t torn;
  static int asked;
  ++asked;
  if (out == 2) return NULL; /* the driver has two, and they are not given back */
  if (asked % 4 == 2) return NULL;
  if (asked % 4 != 0) {
    torn = frame;
    torn.len -= 1;
    ++out;
    return &torn;
  }
  if (fread(frame.buf, 1, frame.len, stdin) != frame.len) return NULL;
  ++out;
  return &frame;
}
void esp_camera_fb_return(camera_fb_t *fb) { out -= fb != NULL; }
int main(int count, char **words) {
  pump_sample sample[PUMP_CHANNELS];
  int c;
  if (count != 4) return 2;
  frame.height = (size_t)atoi(words[1]);
  frame.width = (size_t)atoi(words[2]);
  frame.len = (size_t)atoi(words[3]);
  frame.buf = malloc(frame.len);
  while (sensor_read(sample) == 0) {
    for (c = 0; c < PUMP_CHANNELS; ++c) {
      const float value = (float)sample[c];
      fwrite(&value, sizeof value, 1, stdout);
    }
  }
  free(frame.buf);
  return out == 0 && sensor_read(sample) != 0 ? 0 : 3; /* the third picture was asked for, and did not come */
}
"""


def picture_of(size, channels):
    """Pixels of 8 bits with edges and noise; of colors what 5, 6 and 5 bits can hold; and a camera's bytes of them."""
    rng = np.random.default_rng(size)
    spots = rng.integers(0, 256, (5, 7, channels)).repeat(max(60, size[0] // 5), axis=0)
    coarse = spots.repeat(max(50, -(-size[1] // 7)), axis=1)[: size[0], : size[1]]
    pixels = np.clip(coarse + rng.integers(-20, 21, coarse.shape), 0, 255).astype(np.uint8)
    if channels == 1:
        return pixels[..., 0], pixels.tobytes()
    red, green, blue = (pixels[..., n].astype(np.uint16) >> bits for n, bits in enumerate((3, 2, 3)))
    held = np.stack([red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2], axis=-1).astype(np.uint8)
    return held, (red << 11 | green << 5 | blue).astype(">u2").tobytes()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize(
    ("size", "camera", "channels", "full_scale", "frame"),
    [
        ((4, 5), (96, 96), 3, 32768.0, "FRAMESIZE_96X96"),
        ((32, 48), (96, 96), 1, None, "FRAMESIZE_96X96"),
        ((100, 97), (240, 240), 3, None, "FRAMESIZE_240X240"),
        ((96, 96), (96, 96), 1, 512.0, "FRAMESIZE_96X96"),
        ((3, 241), (240, 320), 1, 32768.0, "FRAMESIZE_QVGA"),
        ((1, 1), (96, 96), 3, None, "FRAMESIZE_96X96"),
        ((512, 8), (600, 800), 1, 32768.0, "FRAMESIZE_SVGA"),
    ],
)
def test_the_camera_of_examples_gives_pixels_as_training_reads_them(
    tmp_path, size, camera, channels, full_scale, frame
):
    rows, columns = size
    arithmetic = "float32" if full_scale is None else "fixed"
    own = replace(
        PICTURE,
        window=rows * columns,
        hop=rows * columns,
        frame=columns,
        frame_hop=columns,
        channels=channels,
        arithmetic=arithmetic,
        full_scale=full_scale,
    )
    firmware = stage(own, 3, Recognizer(0.1, ("a", "b", "c"), (3, 5, 2)))
    files = project_files(firmware, frames_of(own), "pump", "esp-idf", "static", ("a", "b", "c"), image_size=size)
    assert [path for path in files if path.startswith("examples/")] == ["examples/sensor_esp_camera.c"]
    assert "`sensor_esp_camera.c`" in files["README.md"].decode()
    folder = written(files, tmp_path / "project")
    headers = next(folder.rglob("sensor.h")).parent
    driver = tmp_path / "driver"
    driver.mkdir()
    (driver / "esp_camera.h").write_text(CAMERA)
    (driver / "sensor.h").write_text(SENSOR)
    (headers / "main.c").write_text(MAIN)
    shutil.copy(folder / "examples/sensor_esp_camera.c", headers / "sensor.c")
    flags = [flag for flag in WARNINGS if flag != "-std=c99"]
    command = [
        "gcc",
        *flags,
        "-std=gnu11",
        "-fsanitize=address,undefined",
        f"-DWANTED={frame}",
        f"-I{driver}",
        f"-I{headers}",
    ]
    sources = [headers / "main.c", headers / "sensor.c"]
    subprocess.run([*command, *sources, "-o", tmp_path / "camera"], check=True)
    pictures = [picture_of((camera[0], camera[1]), channels)]
    pictures.append((pictures[0][0][::-1, ::-1], _reversed(pictures[0][1], channels)))
    given = b"".join(content for _, content in pictures)
    words = [str(each) for each in (*camera, len(pictures[0][1]))]
    done = subprocess.run([tmp_path / "camera", *words], input=given, capture_output=True, check=True)
    found = np.frombuffer(done.stdout, np.float32).reshape(2, rows, columns, channels)
    white = 255.0 if full_scale is None else 255 * 32768 / full_scale
    for (pixels, _), read in zip(pictures, found):
        wanted = np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize((columns, rows), Image.Resampling.BOX))
        # Pillow rounds rows and columns one after the other.
        assert np.abs(read - wanted.reshape(read.shape) * white / 255).max() <= white / 255
        assert (read >= 0).all()
        assert (read <= white).all()
        assert (read == wanted.reshape(read.shape) * white / 255).mean() > 0.6


def _reversed(content, channels):
    """A camera's bytes of the picture turned by half."""
    return np.frombuffer(content, np.uint8 if channels == 1 else ">u2")[::-1].tobytes()


@pytest.mark.parametrize(("size", "wanted"), [((8, 641), True), ((4, 4096), False), ((1201, 2), False)])
def test_pictures_that_no_camera_gives_have_no_example(size, wanted):
    rows, columns = size
    own = replace(PICTURE, window=rows * columns, hop=rows * columns, frame=columns, frame_hop=columns)
    firmware = stage(own, 3, Recognizer(0.1, ("a", "b", "c"), (3, 5, 2)))
    files = project_files(firmware, frames_of(own), "pump", "esp-idf", "static", ("a", "b", "c"), image_size=size)
    assert any(path.startswith("examples/") for path in files) == wanted
    assert ("`examples/`" in files["README.md"].decode()) == wanted
