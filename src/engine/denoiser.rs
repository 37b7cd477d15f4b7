//! One hop, all channels.
use std::sync::Arc;

use realfft::num_complex::Complex32;

use super::controls::{Controls, Stereo};
use super::mask::{self, LowBand};
use super::shape::{Shape, Shaped};
use super::telemetry::{Meter, Telemetry};
use crate::dsp::{Bands, Framer, Ring, Stft};
use crate::nn::{Dccrn, DccrnState, Features, HIGH_BANDS, Mask, Sizes};

/// Takes the last two hops of each channel and computes the removed signal for the earlier one.
///
/// That hop is the first half of the newest frame and the second half of the previous frame. A one-head network estimates
/// the removed signal for the newest frame, whose second half waits for the next hop; two heads estimate it for both frames,
/// each using all input so far. With N frames of look-ahead, both frames are N hops older.
pub(crate) struct Denoiser {
    network: Arc<Dccrn>,
    stft: Stft,
    bands: Bands,
    channels: Vec<Channel>,
    voices: Vec<Voice>, // the first also serves linked channels
    joint: Vec<Complex32>,
    joint_power: Vec<f32>,
    joint_low: LowBand, // one frame: the network's input for linked channels
    linked: bool,
    shape: Shape,
    meter: Meter,
    unmeasured: Option<f32>, // the amount, until the latest frame has been measured for the display
}

struct Channel {
    spectra: Ring<Vec<Complex32>>, // from the newest frame back to the last head's
    look_ahead: usize,
    removed: Vec<Vec<Complex32>>, // by each head
    low: LowBand,
    inverse: Vec<Complex32>, // input of the inverse transform, which overwrites it
    overlap: Vec<f32>,       // the newest frame's second half, by head 0
    silent: usize,           // consecutive frames of nothing but zeros
}

impl Shaped for Channel {
    fn pair(&mut self, head: usize) -> (&[Complex32], &mut [Complex32]) {
        (self.spectra.ago(self.look_ahead + head), &mut self.removed[head])
    }
}

impl Channel {
    /// The filtered frame and the signal removed from it.
    fn filtered(&self) -> (&[Complex32], &[Complex32]) {
        (self.spectra.ago(self.look_ahead), &self.removed[0])
    }
}

/// A network's state and its output.
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
        let &Sizes { heads, taps, look_ahead, taps_ahead, .. } = network.sizes();
        let zeros = vec![Complex32::ZERO; bins];
        Self {
            bands: Bands::new(bins),
            channels: (0..channels)
                .map(|_| Channel {
                    spectra: Ring::new(look_ahead + heads, zeros.clone()),
                    look_ahead,
                    removed: vec![zeros.clone(); heads],
                    low: LowBand::new(look_ahead - taps_ahead + taps),
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

    /// Does work ahead of the next hop, of which `filled` of `whole` samples have arrived.
    ///
    /// All of it is done by the middle of the hop, because the last callback before a hop has the most work.
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
            self.meter.measure(self.channels.iter().map(Channel::filtered), amount);
        }
    }

    /// The framer's frames -> its outputs, the removed signal. `amount` is only used for the display.
    pub(crate) fn process(&mut self, framer: &mut Framer, controls: &Controls, amount: f32) {
        self.measure();
        for (i, channel) in self.channels.iter_mut().enumerate() {
            let spectrum = channel.spectra.turn();
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
            // Each channel continues from the shared state.
            others.iter_mut().for_each(|v| v.state.copy_from(&first.state));
            self.shape.split_groups();
        }
        self.linked = linked;
        // If the input has been silent for as long as the filter reaches back from the filtered frame, the network does not
        // run: hosts send silence before the first sound and between clips, and the network would respond to it.
        let &Sizes { heads, taps, look_ahead, taps_ahead, .. } = self.network.sizes();
        let reach = look_ahead + taps - taps_ahead;
        let waits = |c: &Channel| c.silent > reach;
        if let ([first, _, ..], true) = (&mut self.voices[..], linked) {
            let spectra = self.channels.iter().map(|c| &c.spectra.ago(0)[..]);
            mask::joint(spectra, &mut self.joint, &mut self.joint_power);
            self.joint_low.push(&self.bands, &self.joint);
            if !self.channels.iter().all(waits) {
                first.listen(&self.network, &self.bands, &self.joint, &self.joint_low);
            }
        } else {
            for (voice, c) in self.voices.iter_mut().zip(&self.channels).filter(|(_, c)| !waits(c))
            {
                voice.listen(&self.network, &self.bands, c.spectra.ago(0), &c.low);
            }
        }

        for (i, c) in self.channels.iter_mut().enumerate() {
            let voice = &self.voices[if linked { 0 } else { i }];
            let silent = waits(c);
            for (head, removed) in c.removed.iter_mut().enumerate() {
                if silent {
                    removed.fill(Complex32::ZERO);
                } else {
                    let history = (&c.low, look_ahead - taps_ahead);
                    let spectrum = c.spectra.ago(look_ahead + head);
                    mask::removed((&voice.mask, head), &self.bands, history, spectrum, removed);
                }
            }
        }
        self.meter.listen(self.channels.iter().map(Channel::filtered));
        self.shape.set(controls);
        for head in 0..heads {
            if linked {
                self.shape.apply(0, &mut self.channels, head);
            } else {
                for (i, channel) in self.channels.iter_mut().enumerate() {
                    self.shape.apply(i, std::slice::from_mut(channel), head);
                }
            }
        }
        for (i, c) in self.channels.iter_mut().enumerate() {
            // The overlap still holds head 0's result for the previous frame; the other head replaces it.
            if let Some(before) = c.removed.get(1) {
                c.inverse.copy_from_slice(before);
                self.stft.amend(&mut c.inverse, &mut c.overlap);
            }
            c.inverse.copy_from_slice(&c.removed[0]);
            self.stft.synthesize(&mut c.inverse, &mut c.overlap, framer.output(i));
        }
        self.unmeasured = Some(amount);
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        self.meter.latest()
    }

    pub(crate) fn reset(&mut self) {
        for c in &mut self.channels {
            c.spectra.iter_mut().for_each(|spectrum| spectrum.fill(Complex32::ZERO));
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
