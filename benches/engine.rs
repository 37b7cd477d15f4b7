//! One hop of 10 ms at 48 kHz, mono, beside nnnoiseless, in one run.
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use nnnoiseless::DenoiseState;
use wisp::{Controls, Dccrn, Engine};

const HOP: usize = 480;

/// Two seconds of a buzzing voice in noise; both denoisers work as hard on silence.
fn signal(scale: f32) -> Vec<f32> {
    let mut seed = 1u32;
    (0..96_000)
        .map(|n| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (seed >> 8) as f32 / (1 << 24) as f32 - 0.5;
            let t = n as f32 / 48_000.0;
            let voice: f32 = (1..20).map(|k| (880.0 * t * k as f32).sin() / k as f32).sum();
            scale * (0.1 * voice + 0.05 * noise)
        })
        .collect()
}

/// Hops of a signal, over and over.
struct Hops {
    signal: Vec<f32>,
    at: usize,
}

impl Hops {
    fn new(scale: f32) -> Self {
        Self { signal: signal(scale), at: 0 }
    }

    fn next(&mut self) -> [f32; HOP] {
        let mut hop = [0.0; HOP];
        hop.copy_from_slice(&self.signal[self.at..self.at + HOP]);
        self.at = (self.at + HOP) % self.signal.len();
        hop
    }
}

fn wisp() -> impl FnMut() {
    let mut engine = Engine::new(Dccrn::bundled(), 48_000, 1).expect("48 kHz, one channel");
    let mut hops = Hops::new(1.0);
    move || {
        let mut hop = hops.next();
        engine.process(&Controls::default(), &mut [&mut hop]);
        black_box(&hop);
    }
}

fn nnnoiseless() -> impl FnMut() {
    let mut state = DenoiseState::new();
    let mut hops = Hops::new(32_768.0); // it takes samples of 16-bit size
    move || {
        let mut out = [0.0; HOP];
        state.process_frame(&mut out, &hops.next());
        black_box(&out);
    }
}

/// Best of many short runs, the two in turn: what the work costs where nothing else disturbs it.
fn compare() {
    let (mut a, mut b) = (wisp(), nnnoiseless());
    let mut best = [Duration::MAX; 2];
    for _ in 0..400 {
        for (run, best) in [&mut a as &mut dyn FnMut(), &mut b].into_iter().zip(&mut best) {
            let start = Instant::now();
            for _ in 0..10 {
                run();
            }
            *best = (*best).min(start.elapsed() / 10);
        }
    }
    let [wisp, other] = best.map(|d| d.as_secs_f64() * 1e6);
    println!(
        "per hop of 10 ms at 48 kHz, mono: wisp {wisp:.1} us, nnnoiseless {other:.1} us, ratio {:.2}",
        wisp / other
    );
    println!("real-time factor: wisp {:.4}, nnnoiseless {:.4}", wisp / 1e4, other / 1e4);
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let mut group = criterion.benchmark_group("hop_48k_mono");
    let mut run = wisp();
    group.bench_function("wisp", |b| b.iter(&mut run));
    let mut run = nnnoiseless();
    group.bench_function("nnnoiseless", |b| b.iter(&mut run));
    group.finish();
    compare();
    criterion.final_summary();
}
