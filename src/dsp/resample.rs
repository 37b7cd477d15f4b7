//! Rates that are not multiples of 100 Hz.
use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{
    Async, FixedAsync, Resampler as _, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};

/// Points of the filter at the lower of the two rates.
const FILTER: usize = 128;
/// Tabulated phases of the filter, interpolated between.
const PHASES: usize = 64;

/// Which side of a [`Resampler`] takes the same number of samples each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixed {
    /// The input.
    Input,
    /// The output.
    Output,
}

/// One channel from one rate to another, by windowed sinc.
pub struct Resampler {
    inner: Async<f32>,
    delay: f64,
}

impl Resampler {
    /// From `input` to `output` Hz, `frame` samples at a time on the fixed side.
    pub fn new(
        input: u32,
        output: u32,
        fixed: Fixed,
        frame: usize,
    ) -> Result<Self, rubato::ResamplerConstructionError> {
        let (input, output) = (f64::from(input), f64::from(output));
        // The filter runs at the input's rate.
        let points = (FILTER as f64 * (input / output).max(1.0)).ceil() as usize;
        let points = points.next_multiple_of(8);
        let parameters = SincInterpolationParameters::new(points, WindowFunction::BlackmanHarris2)
            .oversampling_factor(PHASES)
            .interpolation(SincInterpolationType::Cubic);
        let fixed = match fixed {
            Fixed::Input => FixedAsync::Input,
            Fixed::Output => FixedAsync::Output,
        };
        let inner = Async::new_sinc(output / input, 1.0, &parameters, frame, 1, fixed)?;
        Ok(Self { inner, delay: points as f64 / 2.0 - 1.0 / PHASES as f64 - input / output })
    }

    /// Output sample n is the signal at input sample `n * input / output - delay`.
    pub fn delay(&self) -> f64 {
        self.delay
    }

    /// Samples that the next call takes.
    pub fn input_len(&self) -> usize {
        self.inner.input_frames_next()
    }

    /// Samples that the next call makes.
    pub fn output_len(&self) -> usize {
        self.inner.output_frames_next()
    }

    /// The most samples that a call takes.
    pub fn input_max(&self) -> usize {
        self.inner.input_frames_max()
    }

    /// The most samples that a call makes.
    pub fn output_max(&self) -> usize {
        self.inner.output_frames_max()
    }

    /// `input_len` samples -> `output_len` samples.
    pub fn process(&mut self, input: &[f32], output: &mut [f32]) {
        let (from, to) = (input.len(), output.len());
        let done =
            match (SequentialSlice::new(input, 1, from), SequentialSlice::new_mut(output, 1, to)) {
                (Ok(input), Ok(mut output)) => {
                    self.inner.process_into_buffer(&input, &mut output, None).is_ok()
                }
                _ => false,
            };
        debug_assert!(done, "{from} samples in, {to} out");
    }

    /// As new.
    pub fn reset(&mut self) {
        self.inner.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    /// A sine comes out as the sine at the times that `delay` tells.
    #[test]
    fn delay_is_exact() {
        for (input, output, fixed) in [
            (11_025, 48_000, Fixed::Output),
            (22_050, 48_000, Fixed::Output),
            (88_211, 48_000, Fixed::Output),
            (48_000, 11_025, Fixed::Input),
            (48_000, 22_050, Fixed::Input),
            (48_000, 88_211, Fixed::Input),
        ] {
            let mut resampler = Resampler::new(input, output, fixed, 480).unwrap();
            let frequency = 0.2 * f64::from(input.min(output));
            let wave = |seconds: f64| (TAU * frequency * seconds).sin();
            let (mut taken, mut made) = (0, 0);
            let mut worst = 0.0f64;
            let mut from = vec![0.0; resampler.input_max()];
            let mut to = vec![0.0; resampler.output_max()];
            for hop in 0..20 {
                let (i, o) = (resampler.input_len(), resampler.output_len());
                for x in &mut from[..i] {
                    *x = wave(taken as f64 / f64::from(input)) as f32;
                    taken += 1;
                }
                resampler.process(&from[..i], &mut to[..o]);
                for y in &to[..o] {
                    let time =
                        f64::from(made) / f64::from(output) - resampler.delay() / f64::from(input);
                    if hop > 4 {
                        worst = worst.max((f64::from(*y) - wave(time)).abs());
                    }
                    made += 1;
                }
            }
            assert!(worst < 2e-3, "{input} -> {output} Hz: {worst:.1e}");
        }
    }
}
