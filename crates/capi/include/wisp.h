/*
 * Wisp: real-time voice denoiser.
 *
 * Made by cbindgen from src/lib.rs; do not edit.
 *
 *   WispEngine *engine = NULL;
 *   WispStatus status = wisp_engine_new(48000, 2, &engine);
 *   if (status != WISP_STATUS_OK) {
 *       fprintf(stderr, "%s\n", wisp_last_error());
 *   }
 *   wisp_engine_set_control(engine, WISP_CONTROL_REDUCTION, 18.0f);
 *   float *channels[2] = {left, right};
 *   wisp_engine_process(engine, channels, 512);
 *   wisp_engine_free(engine);
 *
 * Samples are floats, full scale at 1. Everything is allocated when an engine is created; wisp_engine_process,
 * wisp_engine_process_interleaved, wisp_engine_set_control and wisp_engine_reset neither allocate nor lock, so an audio
 * callback may call them. Different threads may use different engines at the same time, but not the same one.
 */

#ifndef WISP_H
#define WISP_H

#include <stddef.h>
#include <stdint.h>

/**
 * Result of a call.
 */
typedef enum {
  /**
   * It worked.
   */
  WISP_STATUS_OK = 0,
  /**
   * A pointer is NULL.
   */
  WISP_STATUS_NULL_POINTER = 1,
  /**
   * The sample rate is outside 8000 to 384000 Hz.
   */
  WISP_STATUS_SAMPLE_RATE = 2,
  /**
   * The number of channels is neither 1 nor 2.
   */
  WISP_STATUS_CHANNELS = 3,
  /**
   * There is no such control.
   */
  WISP_STATUS_CONTROL = 4,
  /**
   * The value is outside the control's range.
   */
  WISP_STATUS_VALUE = 5,
  /**
   * Buffers overlap, are not aligned to their type, or are larger than the address space.
   */
  WISP_STATUS_BUFFER = 6,
  /**
   * A bug in Wisp. The engine returns this for every later call; free it.
   */
  WISP_STATUS_INTERNAL = 7,
  /**
   * There is no such quality.
   */
  WISP_STATUS_QUALITY = 8,
} WispStatus;

/**
 * The controls. Defaults are in brackets.
 */
typedef enum {
  /**
   * The most by which noise is turned down, in dB: 0 or more, INFINITY for no limit [24].
   */
  WISP_CONTROL_REDUCTION = 0,
  /**
   * Treats more (up) or less (down) of the doubtful sounds as noise, in dB: -12 to 12 [0].
   */
  WISP_CONTROL_SENSITIVITY = 1,
  /**
   * Share of the steady noise to keep: 0 to 1 [0].
   */
  WISP_CONTROL_AMBIENCE = 2,
  /**
   * Gain after denoising in dB: -96 to 36 [0].
   */
  WISP_CONTROL_OUTPUT = 3,
  /**
   * 0: the result; 1: what was removed [0].
   */
  WISP_CONTROL_LISTEN = 4,
  /**
   * 0: one mask for both channels, which preserves the stereo image; 1: each channel separately [0].
   */
  WISP_CONTROL_STEREO = 5,
  /**
   * 1: outputs the input, delayed by the latency [0].
   */
  WISP_CONTROL_BYPASS = 6,
} WispControl;

/**
 * Which of the two built-in networks to use.
 */
typedef enum {
  /**
   * For talking and monitoring: 20 ms of latency.
   */
  WISP_QUALITY_LIVE = 0,
  /**
   * For recordings, and wherever latency is compensated: looks 40 ms further ahead; total latency 60 ms. Needs more CPU
   * time.
   */
  WISP_QUALITY_STUDIO = 1,
} WispQuality;

/**
 * Denoises one stream of audio. Created by wisp_engine_new or wisp_engine_new_with_quality.
 */
typedef struct WispEngine WispEngine;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Wisp's version, such as "0.1.0".
 */
const char *wisp_version(void);

/**
 * The reason for the latest failed call in this thread; "" if none has failed. Valid until the next one fails.
 */
const char *wisp_last_error(void);

/**
 * Creates an engine for a sample rate of 8000 to 384000 Hz and 1 or 2 channels, and allocates all that it will need. Its quality
 * is WISP_QUALITY_LIVE.
 *
 * On failure *engine is NULL.
 */
WispStatus wisp_engine_new(uint32_t sample_rate,
                           uint32_t channels,
                           WispEngine **engine);

/**
 * Like wisp_engine_new, with a quality: one of WispQuality. The quality of an engine cannot change.
 */
WispStatus wisp_engine_new_with_quality(uint32_t sample_rate,
                                        uint32_t channels,
                                        int32_t quality,
                                        WispEngine **engine);

/**
 * Frees an engine. NULL is ignored.
 */
void wisp_engine_free(WispEngine *engine);

/**
 * Denoises `samples` samples of each channel in place. `channels` points to one buffer per channel; they must not overlap.
 *
 * `samples` may differ from call to call; block size does not affect the output. NaN and infinity count as 0.
 */
WispStatus wisp_engine_process(WispEngine *engine,
                               float *const *channels,
                               size_t samples);

/**
 * Denoises `frames` frames in place: one sample of each channel, then the next of each. Otherwise like wisp_engine_process.
 */
WispStatus wisp_engine_process_interleaved(WispEngine *engine,
                                           float *samples,
                                           size_t frames);

/**
 * Sets a control: one of WispControl, and a value within its range. The change is ramped over 10 ms.
 */
WispStatus wisp_engine_set_control(WispEngine *engine, int32_t control, float value);

/**
 * Reads a control: one of WispControl.
 */
WispStatus wisp_engine_get_control(WispEngine *engine, int32_t control, float *value);

/**
 * Delay from input to output in samples: 20 ms for WISP_QUALITY_LIVE, 60 ms for WISP_QUALITY_STUDIO, rounded to whole samples. 0
 * if engine is NULL.
 */
size_t wisp_engine_latency(const WispEngine *engine);

/**
 * Samples of silent input after which the output is silent. 0 if engine is NULL.
 */
size_t wisp_engine_tail(const WispEngine *engine);

/**
 * Discards the audio so far, for example before another recording. The controls keep their values.
 */
WispStatus wisp_engine_reset(WispEngine *engine);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* WISP_H */
