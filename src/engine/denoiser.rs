//! One hop, all channels.
use std::f64::consts::TAU;
use std::sync::Arc;

use realfft::num_complex::Complex32;

use super::controls::{Controls, Stereo};
use super::mask::{self, History};
use super::shape::{Pair, Shape};
use super::telemetry::{Meter, Telemetry};
use crate::dsp::{Bands, Framer, Stft};
use crate::nn::{Dccrn, DccrnState, Features, HIGH_BANDS, Mask};

/// From the last two hops of each channel to what is to be removed from the one before.
pub(crate) struct Denoiser {
    network: Arc<Dccrn>,
    stft: Stft,
    bands: Bands,
    shift: Vec<Complex32>, // per bin; empty: none
    channels: Vec<Channel>,
    voices: Vec<Voice>, // the first serves linked channels too
    joint: Vec<Complex32>,
    joint_low: History, // one frame: what the network sees of linked channels
    linked: bool,
    shape: Shape,
    meter: Meter,
    unmeasured: Option<f32>, // the amount, until what is shown of the latest frame has been measured
}

struct Channel {
    spectrum: Vec<Complex32>,
    low: History,
    removed: Vec<Complex32>,
    wasted: Vec<Complex32>, // the inverse transform uses its input up
    overlap: Vec<f32>,
}

impl Channel {
    fn pair(&mut self) -> Pair<'_> {
        (&self.spectrum, &mut self.removed)
    }
}

/// A network's state and what it says.
struct Voice {
    state: DccrnState,
    features: Features,
    mask: Mask,
}

impl Voice {
    fn listen(&mut self, network: &Dccrn, bands: &Bands, spectrum: &[Complex32], low: &History) {
        let mut energies = [0.0; HIGH_BANDS];
        bands.energies(spectrum, &mut energies);
        network.features(low.newest(), &energies, &mut self.state, &mut self.features);
        network.forward(&self.features, &mut self.state, &mut self.mask);
    }
}

impl Denoiser {
    /// For hops of `hop` samples. What is removed comes `shift` samples late, a fraction or a few.
    pub(crate) fn new(network: Arc<Dccrn>, hop: usize, channels: usize, shift: f64) -> Self {
        let stft = Stft::new(hop);
        let bins = stft.bins();
        let taps = network.sizes().taps;
        let zeros = vec![Complex32::ZERO; bins];
        let turn = |bin: usize| -TAU * shift * bin as f64 / (2 * hop) as f64;
        let shift = (shift != 0.0).then(|| {
            (0..bins).map(|k| Complex32::new(turn(k).cos() as f32, turn(k).sin() as f32)).collect()
        });
        Self {
            bands: Bands::new(bins),
            shift: shift.unwrap_or_default(),
            channels: (0..channels)
                .map(|_| Channel {
                    spectrum: zeros.clone(),
                    low: History::new(taps),
                    removed: zeros.clone(),
                    wasted: zeros.clone(),
                    overlap: vec![0.0; hop],
                })
                .collect(),
            voices: (0..channels)
                .map(|_| Voice {
                    state: network.new_state(),
                    features: Features::default(),
                    mask: network.new_mask(),
                })
                .collect(),
            joint: zeros.clone(),
            joint_low: History::new(1),
            linked: true,
            shape: Shape::new(bins, channels),
            meter: Meter::new(),
            unmeasured: None,
            stft,
            network,
        }
    }

    /// Work between two hops, so that less is left for the next: a hop that is `filled` of `whole` full.
    ///
    /// All is done by the middle of the hop, since the last callback before a hop has most to do.
    pub(crate) fn prepare(&mut self, filled: usize, whole: usize) {
        self.measure();
        let parts = 2 * filled * self.network.parts() / whole;
        let voices = if self.linked { 1 } else { self.voices.len() };
        for voice in &mut self.voices[..voices] {
            self.network.prepare(&mut voice.state, parts);
        }
    }

    fn measure(&mut self) {
        if let Some(amount) = self.unmeasured.take() {
            let spectra = self.channels.iter().map(|c| (&c.spectrum[..], &c.removed[..]));
            self.meter.measure(spectra, amount);
        }
    }

    /// The framer's frames -> its outputs, what is removed. `amount` is only shown.
    pub(crate) fn process(&mut self, framer: &mut Framer, controls: &Controls, amount: f32) {
        self.measure();
        for (i, channel) in self.channels.iter_mut().enumerate() {
            self.stft.analyze(framer.frame(i), &mut channel.spectrum);
            channel.low.push(&self.bands, &channel.spectrum);
        }

        let linked = controls.stereo == Stereo::Linked;
        if self.linked
            && !linked
            && let [first, others @ ..] = &mut self.voices[..]
        {
            // Each channel goes on from what was heard together.
            others.iter_mut().for_each(|v| v.state.copy_from(&first.state));
            self.shape.part();
        }
        self.linked = linked;
        if let ([left, right], true) = (&self.channels[..], linked) {
            mask::joint(&left.spectrum, &right.spectrum, &mut self.joint);
            self.joint_low.push(&self.bands, &self.joint);
            self.voices[0].listen(&self.network, &self.bands, &self.joint, &self.joint_low);
        } else {
            for (voice, c) in self.voices.iter_mut().zip(&self.channels) {
                voice.listen(&self.network, &self.bands, &c.spectrum, &c.low);
            }
        }

        for (i, c) in self.channels.iter_mut().enumerate() {
            let voice = &self.voices[if linked { 0 } else { i }];
            mask::removed((&voice.mask, 0), &self.bands, &c.low, &c.spectrum, &mut c.removed);
        }
        self.meter.listen(self.channels.iter().map(|c| (&c.spectrum[..], &c.removed[..])));
        self.shape.set(controls);
        match &mut self.channels[..] {
            [left, right] if linked => self.shape.apply(0, &mut [left.pair(), right.pair()]),
            channels => {
                for (i, channel) in channels.iter_mut().enumerate() {
                    self.shape.apply(i, &mut [channel.pair()]);
                }
            }
        }
        for (i, c) in self.channels.iter_mut().enumerate() {
            c.wasted.copy_from_slice(&c.removed);
            for (x, turn) in c.wasted.iter_mut().zip(&self.shift) {
                *x *= turn;
            }
            self.stft.synthesize(&mut c.wasted, &mut c.overlap, framer.output(i));
        }
        self.unmeasured = Some(amount);
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        self.meter.latest()
    }

    pub(crate) fn reset(&mut self) {
        for c in &mut self.channels {
            c.low.reset();
            c.overlap.fill(0.0);
        }
        self.voices.iter_mut().for_each(|v| v.state.reset());
        self.joint_low.reset();
        self.linked = true;
        self.shape.reset();
        self.meter.reset();
        self.unmeasured = None;
    }
}
