//! One hop, all channels.
use std::sync::Arc;

use realfft::num_complex::Complex32;

use super::controls::{Controls, Stereo};
use super::mask::{self, LowBand};
use super::shape::{Shape, Shaped};
use super::telemetry::{Meter, Telemetry};
use crate::dsp::{Bands, Framer, Stft};
use crate::nn::{Dccrn, DccrnState, Features, HIGH_BANDS, Mask};

/// From the last two hops of each channel to what is to be removed from the one before.
///
/// That hop is the first half of the newest frame and the second half of the frame before. A network of one head says what
/// is to be removed from the newest frame, whose second half waits for the next hop; one of two heads says it of both
/// frames at once, so that both halves are made with all that has been heard.
pub(crate) struct Denoiser {
    network: Arc<Dccrn>,
    stft: Stft,
    bands: Bands,
    channels: Vec<Channel>,
    voices: Vec<Voice>, // the first serves linked channels too
    joint: Vec<Complex32>,
    joint_power: Vec<f32>,
    joint_low: LowBand, // one frame: what the network sees of linked channels
    linked: bool,
    shape: Shape,
    meter: Meter,
    unmeasured: Option<f32>, // the amount, until what is shown of the latest frame has been measured
}

struct Channel {
    frames: Vec<Frame>, // one per head: the newest, the one before
    low: LowBand,
    inverse: Vec<Complex32>, // input of the inverse transform, which overwrites it
    overlap: Vec<f32>,       // the newest frame's second half, by head 0
    silent: usize,           // frames in a row that held nothing but zeros
}

#[derive(Clone)]
struct Frame {
    spectrum: Vec<Complex32>,
    removed: Vec<Complex32>,
}

impl Shaped for Channel {
    fn pair(&mut self, head: usize) -> (&[Complex32], &mut [Complex32]) {
        let Frame { spectrum, removed } = &mut self.frames[head];
        (spectrum, removed)
    }
}

impl Channel {
    fn newest(&self) -> (&[Complex32], &[Complex32]) {
        (&self.frames[0].spectrum, &self.frames[0].removed)
    }
}

/// A network's state and what it says.
struct Voice {
    state: DccrnState,
    features: Features,
    mask: Mask,
}

impl Voice {
    fn listen(&mut self, network: &Dccrn, bands: &Bands, spectrum: &[Complex32], low: &LowBand) {
        let mut energies = [0.0; HIGH_BANDS];
        bands.energies(spectrum, &mut energies);
        network.features(low.newest(), &energies, &mut self.state, &mut self.features);
        network.forward(&self.features, &mut self.state, &mut self.mask);
    }
}

impl Denoiser {
    /// For hops of `hop` samples.
    pub(crate) fn new(network: Arc<Dccrn>, hop: usize, channels: usize) -> Self {
        let stft = Stft::new(hop);
        let bins = stft.bins();
        let (heads, taps) = (network.sizes().heads, network.sizes().taps);
        let zeros = vec![Complex32::ZERO; bins];
        Self {
            bands: Bands::new(bins),
            channels: (0..channels)
                .map(|_| Channel {
                    frames: vec![Frame { spectrum: zeros.clone(), removed: zeros.clone() }; heads],
                    low: LowBand::new(taps),
                    inverse: zeros.clone(),
                    overlap: vec![0.0; hop],
                    silent: usize::MAX,
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
            joint_power: vec![0.0; bins],
            joint_low: LowBand::new(1),
            linked: true,
            shape: Shape::new(bins, channels.max(1)),
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
        let voices = if self.linked { self.voices.len().min(1) } else { self.voices.len() };
        for voice in &mut self.voices[..voices] {
            self.network.prepare(&mut voice.state, parts);
        }
    }

    fn measure(&mut self) {
        if let Some(amount) = self.unmeasured.take() {
            self.meter.measure(self.channels.iter().map(Channel::newest), amount);
        }
    }

    /// The framer's frames -> its outputs, what is removed. `amount` is only shown.
    pub(crate) fn process(&mut self, framer: &mut Framer, controls: &Controls, amount: f32) {
        self.measure();
        for (i, channel) in self.channels.iter_mut().enumerate() {
            if let [newest, before] = &mut channel.frames[..] {
                std::mem::swap(&mut newest.spectrum, &mut before.spectrum);
            }
            let spectrum = &mut channel.frames[0].spectrum;
            self.stft.analyze(framer.frame(i), spectrum);
            channel.low.push(&self.bands, spectrum);
            let zeros = framer.frame(i).iter().all(|&x| x == 0.0);
            channel.silent = if zeros { channel.silent.saturating_add(1) } else { 0 };
        }

        let linked = controls.stereo == Stereo::Linked;
        if self.linked
            && !linked
            && let [first, others @ ..] = &mut self.voices[..]
        {
            // Each channel goes on from what was heard together.
            others.iter_mut().for_each(|v| v.state.copy_from(&first.state));
            self.shape.split_groups();
        }
        self.linked = linked;
        // Where nothing has been heard for as long as the filter reaches back, the network waits: hosts send silence before
        // the first sound and between clips, and it would make something of that.
        let reach = self.network.sizes().taps;
        let waits = |c: &Channel| c.silent > reach;
        if let ([first, _, ..], true) = (&mut self.voices[..], linked) {
            let spectra = self.channels.iter().map(|c| c.newest().0);
            mask::joint(spectra, &mut self.joint, &mut self.joint_power);
            self.joint_low.push(&self.bands, &self.joint);
            if !self.channels.iter().all(waits) {
                first.listen(&self.network, &self.bands, &self.joint, &self.joint_low);
            }
        } else {
            for (voice, c) in self.voices.iter_mut().zip(&self.channels).filter(|(_, c)| !waits(c))
            {
                voice.listen(&self.network, &self.bands, c.newest().0, &c.low);
            }
        }

        for (i, c) in self.channels.iter_mut().enumerate() {
            let voice = &self.voices[if linked { 0 } else { i }];
            let silent = waits(c);
            for (head, frame) in c.frames.iter_mut().enumerate() {
                let Frame { spectrum, removed } = frame;
                if silent {
                    removed.fill(Complex32::ZERO);
                } else {
                    mask::removed((&voice.mask, head), &self.bands, &c.low, spectrum, removed);
                }
            }
        }
        self.meter.listen(self.channels.iter().map(Channel::newest));
        self.shape.set(controls);
        for head in 0..self.network.sizes().heads {
            if linked {
                self.shape.apply(0, &mut self.channels, head);
            } else {
                for (i, channel) in self.channels.iter_mut().enumerate() {
                    self.shape.apply(i, std::slice::from_mut(channel), head);
                }
            }
        }
        for (i, c) in self.channels.iter_mut().enumerate() {
            // What head 0 made of the frame before still overlaps; the other head has made it anew.
            if let Some(before) = c.frames.get(1) {
                c.inverse.copy_from_slice(&before.removed);
                self.stft.amend(&mut c.inverse, &mut c.overlap);
            }
            c.inverse.copy_from_slice(&c.frames[0].removed);
            self.stft.synthesize(&mut c.inverse, &mut c.overlap, framer.output(i));
        }
        self.unmeasured = Some(amount);
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        self.meter.latest()
    }

    pub(crate) fn reset(&mut self) {
        for c in &mut self.channels {
            c.frames.iter_mut().for_each(|f| f.spectrum.fill(Complex32::ZERO));
            c.low.reset();
            c.overlap.fill(0.0);
            c.silent = usize::MAX;
        }
        self.voices.iter_mut().for_each(|v| v.state.reset());
        self.joint_low.reset();
        self.linked = true;
        self.shape.reset();
        self.meter.reset();
        self.unmeasured = None;
    }
}
