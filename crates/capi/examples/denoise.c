/*
 * Denoises raw 32-bit float samples from standard input to standard output, as a recording: aligned with the input.
 *
 *   cc denoise.c $(pkg-config --cflags --libs wisp) -o denoise
 *   sox noisy.wav -t f32 -r 48000 -c 1 - | ./denoise 48000 1 | sox -t f32 -r 48000 -c 1 - clean.wav
 *
 * Arguments: sample rate, channels, reduction in dB, quality (live or studio).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wisp.h>
#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif

#define FRAMES 480

static int failed(const char *what)
{
    fprintf(stderr, "denoise: %s: %s\n", what, wisp_last_error());
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    uint32_t rate = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 48000;
    uint32_t channels = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1;
    float reduction = argc > 3 ? strtof(argv[3], NULL) : 24.0f;
    int live = argc > 4 && strcmp(argv[4], "live") == 0;
    int32_t quality = live ? WISP_QUALITY_LIVE : WISP_QUALITY_STUDIO;
    float samples[FRAMES * 2];
    size_t frames, skip, rest;
    WispEngine *engine = NULL;

#ifdef _WIN32
    /* Otherwise bytes that look like line ends would be changed. */
    _setmode(_fileno(stdin), _O_BINARY);
    _setmode(_fileno(stdout), _O_BINARY);
#endif
    if (wisp_engine_new_with_quality(rate, channels, quality, &engine) != WISP_STATUS_OK) {
        return failed("cannot start");
    }
    if (wisp_engine_set_control(engine, WISP_CONTROL_REDUCTION, reduction) != WISP_STATUS_OK) {
        wisp_engine_free(engine);
        return failed("cannot set the reduction");
    }
    /* The output is delayed by the latency: drop that many samples at the start, and feed as much silence at the end. */
    skip = rest = wisp_engine_latency(engine);
    while (1) {
        size_t drop, i;
        frames = fread(samples, sizeof(float) * channels, FRAMES, stdin);
        if (frames == 0) {
            frames = rest < FRAMES ? rest : FRAMES;
            rest -= frames;
            for (i = 0; i < frames * channels; i++) {
                samples[i] = 0.0f;
            }
        }
        if (frames == 0) {
            break;
        }
        if (wisp_engine_process_interleaved(engine, samples, frames) != WISP_STATUS_OK) {
            wisp_engine_free(engine);
            return failed("cannot denoise");
        }
        drop = skip < frames ? skip : frames;
        skip -= drop;
        if (fwrite(samples + drop * channels, sizeof(float) * channels, frames - drop, stdout) != frames - drop) {
            perror("denoise: cannot write");
            wisp_engine_free(engine);
            return EXIT_FAILURE;
        }
    }
    wisp_engine_free(engine);
    return ferror(stdin) || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
