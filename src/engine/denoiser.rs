//! One hop, all channels.
use std::sync::Arc;

use realfft::num_complex::Complex32;

use super::controls::{Controls, Stereo};
use super::mask::{self, LowBand};
use super::shape::{Shape, Shaped};
use super::telemetry::{Meter, Telemetry};
use crate::dsp::{Bands, Framer, Ring, Stft};
use crate::nn::{Dccrn, DccrnState, Features, HIGH_BANDS, Mask, Sizes};

/// From the last two hops of each channel to what is to be removed from the one before.
///
/// That hop is the first half of the newest frame and the second half of the frame before. A network of one head says what
/// is to be removed from the newest frame, whose second half waits for the next hop; one of two heads says it of both
/// frames at once, so that both halves are made with all that has been heard. A network that looks ahead says it of frames that
/// many hops earlier.
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
    spectra: Ring<Vec<Complex32>>, // from the newest back to the last head's frame
    look_ahead: usize,
    removed: Vec<Vec<Complex32>>, // by each head
    low: LowBand,
    inverse: Vec<Complex32>, // input of the inverse transform, which overwrites it
    overlap: Vec<f32>,       // the newest frame's second half, by head 0
    silent: usize,           // frames in a row that held nothing but zeros
}

impl Shaped for Channel {
    fn pair(&mut self, head: usize) -> (&[Complex32], &mut [Complex32]) {
        (self.spectra.ago(self.look_ahead + head), &mut self.removed[head])
    }
}

impl Channel {
    /// The filtered frame, and what is removed from it.
    fn filtered(&self) -> (&[Complex32], &[Complex32]) {
        (self.spectra.ago(self.look_ahead), &self.removed[0])
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
            self.meter.measure(self.channels.iter().map(Channel::filtered), amount);
        }
    }

    /// The framer's frames -> its outputs, what is removed. `amount` is only shown.
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
            // Each channel goes on from what was heard together.
            others.iter_mut().for_each(|v| v.state.copy_from(&first.state));
            self.shape.split_groups();
        }
        self.linked = linked;
        // Where nothing has been heard for as long as the filter reaches back from the filtered frame, the network waits: hosts
        // send silence before the first sound and between clips, and it would make something of that.
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
            // What head 0 made of the frame before still overlaps; the other head has made it anew.
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
