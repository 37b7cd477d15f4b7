//! What Wisp costs, all in one run: compared with nnnoiseless, in small callbacks, by rate and channels, in memory, by layer.
//!
//! ```text
//! cargo bench --no-default-features --bench peers                 # 100 000 hops
//! cargo bench --no-default-features --bench peers -- --quick      # 5 000
//! cargo bench --no-default-features --bench peers -- --hops 100   # only the hops, to count their instructions
//! ```
//!
//! Times are thread processor time in microseconds, minus the cost of reading the clock. The run fails if a limit is
//! exceeded that does not depend on how busy the machine is: ratios of medians, with a margin, and bytes.
mod clock;
mod peak;

use std::hint::black_box;
use std::time::Instant;

use clock::{Times, overhead, time};
use nnnoiseless::DenoiseState;
use realfft::num_complex::Complex32;
use wisp::dsp::{Bands, Stft};
use wisp::nn::{Dccrn, Features, HIGH_BANDS, LOW_BINS, Layer};
use wisp::{Controls, Engine, Model, Stereo};
use wisp_testing::Random;
use wisp_testing::allocations::{Counting, count};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RATE: u32 = 48_000;
const HOP: usize = 480;

/// A second of a buzzing voice in noise, looped.
struct Signal {
    samples: Vec<f32>,
    at: usize,
}

impl Signal {
    fn new(rate: u32, scale: f32) -> Self {
        let mut random = Random(1);
        let sample = |n| {
            let noise = 0.5 * random.sample();
            let t = n as f32 / rate as f32;
            let voice: f32 = (1..20).map(|k| (880.0 * t * k as f32).sin() / k as f32).sum();
            scale * (0.1 * voice + 0.05 * noise)
        };
        Self { samples: (0..rate).map(sample).collect(), at: 0 }
    }

    fn fill(&mut self, block: &mut [f32]) {
        for x in block {
            *x = self.samples[self.at];
            self.at = (self.at + 1) % self.samples.len();
        }
    }
}

/// An engine fed with blocks of one size; making the input is not timed.
struct Blocks {
    engine: Engine,
    controls: Controls,
    signal: Signal,
    block: Vec<Vec<f32>>,
}

impl Blocks {
    fn new(rate: u32, channels: usize, stereo: Stereo, size: usize, scale: f32) -> Self {
        Self::of(&Model::live(), rate, channels, stereo, size, scale)
    }

    fn of(
        model: &Model,
        rate: u32,
        channels: usize,
        stereo: Stereo,
        size: usize,
        scale: f32,
    ) -> Self {
        Self {
            engine: Engine::new(model, rate, channels).expect("a rate and channels"),
            controls: Controls { stereo, ..Controls::default() },
            signal: Signal::new(rate, scale),
            block: vec![vec![0.0; size]; channels],
        }
    }

    fn mono(model: &Model) -> Self {
        Self::of(model, RATE, 1, Stereo::Linked, HOP, 1.0)
    }

    fn next(&mut self) -> f64 {
        self.block.iter_mut().for_each(|c| self.signal.fill(c));
        match &mut self.block[..] {
            [mono] => time(|| self.engine.process(&self.controls, &mut [mono])),
            [left, right, ..] => time(|| self.engine.process(&self.controls, &mut [left, right])),
            [] => 0.0,
        }
    }

    fn median(&mut self, blocks: usize) -> f64 {
        Times::new((0..blocks).map(|_| self.next())).quantile(0.5)
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == "--hops") {
        return only_hops(arguments.get(at + 1).and_then(|n| n.parse().ok()).expect("a number"));
    }
    let hops = if arguments.iter().any(|a| a == "--quick") { 5_000 } else { 100_000 };
    let few = hops / 20;
    let model = Model::live();
    let network = model.network();
    println!("{network:?}");
    println!("{} multiply-adds per hop", multiply_adds(network));
    let peer = beside_nnnoiseless(hops);
    callbacks(hops / 10);
    rates(few);
    denormals(few);
    instances(few);
    many_at_once("Live", &model, 64, few / 50, 2.5 * peer);
    many_at_once("Studio", &Model::studio(), 16, few / 50, 3.0 * peer);
    layers(network, few);
}

/// For counting instructions (`cargo xtask test instructions`).
fn only_hops(hops: usize) {
    let model = Model::live();
    let network = model.network();
    println!("{network:?}");
    println!("multiply-adds per hop: {}", multiply_adds(network));
    let mut wisp = Blocks::mono(&model);
    black_box((0..hops).map(|_| wisp.next()).sum::<f64>());
}

fn multiply_adds(network: &Dccrn) -> usize {
    network.layers().map(|layer| network.multiply_adds(layer)).sum()
}

fn title(text: &str) {
    println!("\n{text}");
}

/// A 10 ms hop at 48 kHz, mono, alternating between the two. Returns nnnoiseless's median.
fn beside_nnnoiseless(hops: usize) -> f64 {
    title("per hop of 10 ms at 48 kHz, mono    p50      p99    p99.9      max  p99.9/p50");
    let model = Model::live();
    let mut wisp = Blocks::mono(&model);
    let mut studio = Blocks::mono(&Model::studio());
    let network = model.network();
    let (mut state, mut mask) = (network.new_state(), network.new_mask());
    let features = Features::default();
    let mut network_next = || time(|| network.forward(&features, &mut state, &mut mask));
    let mut peer = DenoiseState::new();
    let mut signal = Signal::new(RATE, 32_768.0); // nnnoiseless expects the 16-bit range
    let (mut input, mut output) = ([0.0; HOP], [0.0; HOP]);
    let mut peer_next = || {
        signal.fill(&mut input);
        time(|| peer.process_frame(&mut output, &input))
    };
    // As long as a hop, but without memory access: its spread is the machine's.
    let work = peak::work(wisp.median(1_000));
    let work_next = || work.as_ref().map_or(f64::NAN, time);
    let mut times = [const { Vec::new() }; 5];
    let overhead = overhead();
    while times[0].len() < hops {
        let [ours, larger, alone, theirs, plain] = &mut times;
        ours.extend((0..100).map(|_| wisp.next() - overhead));
        larger.extend((0..100).map(|_| studio.next() - overhead));
        alone.extend((0..100).map(|_| network_next() - overhead));
        theirs.extend((0..100).map(|_| peer_next() - overhead));
        plain.extend((0..100).map(|_| work_next() - overhead));
    }
    let [ours, larger, alone, theirs, plain] = times.map(|times| Times::new(times.into_iter()));
    for (name, times) in [
        ("wisp, Live", &ours),
        ("of which the network", &alone),
        ("wisp, Studio", &larger),
        ("nnnoiseless", &theirs),
        ("multiply-adds in registers", &plain),
    ] {
        let [p50, p99, p999, max] = [0.5, 0.99, 0.999, 1.0].map(|q| times.quantile(q));
        if p50.is_nan() {
            continue; // not available here
        }
        println!("{name:30} {p50:8.1} {p99:8.1} {p999:8.1} {max:8.1} {:10.2}", p999 / p50);
    }
    let [ours, larger, theirs] = [&ours, &larger, &theirs].map(|times| times.quantile(0.5));
    println!("ratio of the medians: Live {:.2}, Studio {:.2}", ours / theirs, larger / theirs);
    println!("real-time factor: wisp {:.4}, nnnoiseless {:.4}", ours / 1e4, theirs / 1e4);
    assert!(larger <= 4.0 * ours, "Studio takes more than four times Live's time");
    assert!(ours <= 1.5 * theirs, "more than 1.5 times nnnoiseless");
    theirs
}

/// Callbacks of 64 samples. 30 of them make four hops; each of the 30 has its own statistics.
fn callbacks(rounds: usize) {
    const SIZE: usize = 64;
    const PATTERN: usize = 30;
    let mut wisp = Blocks::new(RATE, 1, Stereo::Linked, SIZE, 1.0);
    let mut times = vec![Vec::new(); PATTERN];
    let overhead = overhead();
    for _ in 0..rounds / 4 {
        times.iter_mut().for_each(|t| t.push(wisp.next() - overhead));
    }
    let all = Times::new(times.iter().flatten().copied());
    let medians = Times::new(times.into_iter().map(|t| Times::new(t.into_iter()).quantile(0.5)));
    let mean = (0..PATTERN).map(|i| medians.quantile(i as f64 / (PATTERN - 1) as f64)).sum::<f64>()
        / PATTERN as f64;
    let worst = medians.quantile(1.0);
    title("callbacks of 64 samples at 48 kHz, mono");
    println!("mean {mean:.2}, worst {worst:.2}, worst / mean {:.2}", worst / mean);
    println!("of all that were: p99.9 {:.1}, max {:.1}", all.quantile(0.999), all.quantile(1.0));
    assert!(worst <= 7.0 * mean, "the work of a hop is not spread");
}

fn rates(hops: usize) {
    title("per hop of 10 ms    mono  stereo linked  stereo independent");
    let overhead = overhead();
    for rate in [16_000, 44_100, 48_000, 96_000, 192_000] {
        let kinds = [(1, Stereo::Linked), (2, Stereo::Linked), (2, Stereo::Independent)];
        let [mono, linked, independent] = kinds.map(|(channels, stereo)| {
            let mut wisp = Blocks::new(rate, channels, stereo, rate as usize / 100, 1.0);
            wisp.median(hops) - overhead
        });
        println!("{rate:7} Hz {mono:13.1} {linked:14.1} {independent:19.1}");
        assert!(linked < 1.9 * mono, "linked channels share one run of the network");
    }
}

/// Input so quiet that every sample is denormal.
fn denormals(hops: usize) {
    let mut both = [1.0, 1e-39].map(|scale| Blocks::new(RATE, 1, Stereo::Linked, HOP, scale));
    let mut times = [Vec::new(), Vec::new()];
    let overhead = overhead();
    for _ in 0..hops {
        for (blocks, times) in both.iter_mut().zip(&mut times) {
            times.push(blocks.next() - overhead);
        }
    }
    let [normal, denormal] = times.map(|t| Times::new(t.into_iter()).quantile(0.5));
    title("denormal input, per hop");
    println!("{denormal:.1} for {normal:.1}, ratio {:.2}", denormal / normal);
    assert!(denormal <= 1.3 * normal, "denormals are slow");
}

/// Time to make an engine, and its memory without the weights.
fn instances(rounds: usize) {
    let file = std::fs::read("bundled/live.safetensors").expect("the weights' file");
    let load = Times::new((0..20).map(|_| time(|| Model::from_bytes(&file)))).quantile(0.5);
    let (_network, _, held) = count(|| Model::from_bytes(&file));
    title("an instance                              ms       KiB");
    println!("weights, once per process         {:9.2} {:9}", load / 1e3, held / 1024);
    for (rate, channels) in [(RATE, 1), (RATE, 2), (44_100, 2), (192_000, 2), (22_050, 2)] {
        let make = || Engine::new(&Model::live(), rate, channels);
        let took = Times::new((0..rounds.min(50)).map(|_| time(make))).quantile(0.5) / 1e3;
        let (_engine, _, held) = count(make);
        println!("{rate:7} Hz, {channels} channels            {took:9.2} {:9}", held / 1024);
        assert!(rate != RATE || held <= 2 << 20, "an instance holds {held} bytes");
        assert!(rate != RATE || took <= 5.0, "an instance takes {took} ms");
    }
}

/// Many instances in turn on one core, hop by hop; `most` is the longest that each may take.
fn many_at_once(quality: &str, model: &Model, count: usize, hops: usize, most: f64) {
    let mut all: Vec<Blocks> = (0..count).map(|_| Blocks::mono(model)).collect();
    let overhead = overhead();
    // The best of three medians, because other virtual machines may share the caches.
    let mut median = || {
        let rounds = (0..hops).map(|_| all.iter_mut().map(|b| b.next() - overhead).sum::<f64>());
        Times::new(rounds).quantile(0.5)
    };
    let round = (0..3).map(|_| median()).fold(f64::INFINITY, f64::min);
    title(&format!("{count} instances of {quality} at 48 kHz, mono, on one core"));
    let each = round / count as f64;
    println!("{each:.1} each, real-time factor of all {:.2}", round / 1e4);
    // Relative to a peer in the same run: a virtual machine's speed can change by half within minutes.
    assert!(each <= most, "{each:.1} each, at most {most:.1} expected beside nnnoiseless");
}

/// Where a hop's time goes, and each layer's speed relative to the core's peak.
fn layers(network: &Dccrn, frames: usize) {
    let peak = peak::measure();
    let names: Vec<String> = network.layers().map(|layer| layer.to_string()).collect();
    let rows = |layer: Layer| names.iter().position(|n| *n == layer.to_string());
    let (mut state, mut mask) = (network.new_state(), network.new_mask());
    let mut features = Features::default();
    let mut spectrum = vec![Complex32::ZERO; HOP + 1];
    let mut stft = Stft::new(HOP);
    let bands = Bands::new(HOP + 1);
    let mut signal = Signal::new(RATE, 1.0);
    let (mut frame, mut hop, mut overlap) = ([0.0; 2 * HOP], [0.0; HOP], [0.0; HOP]);
    let mut wasted = spectrum.clone();

    const REST: [&str; 4] = ["STFT", "features", "bound of the mask", "STFT back"];
    let mut times = vec![Vec::new(); names.len() + REST.len()];
    let (rest, since) = (names.len(), |start: Instant| start.elapsed().as_secs_f64() * 1e6);
    let overhead = Times::new((0..10_000).map(|_| since(Instant::now()))).quantile(0.5);
    for _ in 0..frames {
        signal.fill(&mut frame);
        let start = Instant::now();
        stft.analyze(&frame, &mut spectrum);
        times[rest].push(since(start) - overhead);

        let start = Instant::now();
        let (mut low, mut energies) = ([Complex32::ZERO; LOW_BINS], [0.0; HIGH_BANDS]);
        bands.low(&spectrum, &mut low);
        bands.energies(&spectrum, &mut energies);
        network.features(&low, &energies, &mut state, &mut features);
        times[rest + 1].push(since(start) - overhead);

        // Work done ahead of a frame: each encoder layer, then each memory, in the order of `prepare`.
        let ahead = (0..network.parts()).map(|part| {
            let start = Instant::now();
            network.prepare(&mut state, part + 1);
            since(start) - overhead
        });
        let ahead: Vec<f64> = ahead.collect();
        let (encoder, memory) = ahead.split_at(network.sizes().channels.len());
        let mut start = Instant::now();
        network.forward_traced(&features, &mut state, &mut mask, |layer, _| {
            let ahead = match layer {
                Layer::Encoder(i) => encoder[i],
                Layer::Memory(i) => memory[i],
                Layer::LowMemory => memory[network.sizes().blocks],
                Layer::FullMemory => memory[memory.len() - 1],
                _ => 0.0,
            };
            let row = rows(layer).expect("a layer of the network");
            times[row].push(since(start) - overhead + ahead);
            start = Instant::now();
        });
        times[rest + 2].push(since(start) - overhead);

        wasted.copy_from_slice(&spectrum);
        let start = Instant::now();
        stft.synthesize(&mut wasted, &mut overlap, &mut hop);
        times[rest + 3].push(since(start) - overhead);
        black_box((&mask, &hop));
    }
    // Low quantiles, because the peak is a best case too.
    let fast: Vec<f64> =
        times.into_iter().map(|t| Times::new(t.into_iter()).quantile(0.02)).collect();

    match peak {
        Some((name, peak)) => {
            title(&format!("peak: {:.1} multiply-adds per ns, {name}", peak / 1e3))
        }
        None => title("peak: not measured for these instructions"),
    }
    println!("layer                 multiply-adds       us  per ns  of the peak");
    let mut total = 0.0;
    for (layer, us) in network.layers().zip(&fast) {
        let work = network.multiply_adds(layer);
        let rate = work as f64 / us;
        let share = peak.map_or(String::new(), |(_, peak)| format!("{:.0} %", 100.0 * rate / peak));
        println!("{:21} {work:13} {us:8.2} {:7.1} {share:>12}", layer.to_string(), rate / 1e3);
        total += us;
    }
    let rate = multiply_adds(network) as f64 / total;
    let share = peak.map_or(String::new(), |(_, peak)| format!("{:.0} %", 100.0 * rate / peak));
    println!(
        "{:21} {:13} {total:8.2} {:7.1} {share:>12}",
        "all layers",
        multiply_adds(network),
        rate / 1e3
    );
    for (name, us) in REST.iter().zip(&fast[rest..]) {
        println!("{name:35} {us:8.2}");
    }
}
