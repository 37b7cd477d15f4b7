//! The network that `benches/frameworks.py` wrote as ONNX, run by tract: its times per frame in microseconds.
use anyhow::{Context, Result};
use cpu_time::ThreadTime;
use tract_onnx::prelude::*;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let path = args.next().context("usage: wisp-tract MODEL.onnx STEPS")?;
    let steps: usize = args.next().context("how many steps?")?.parse()?;
    let model = tract_onnx::onnx().model_for_path(path)?.into_optimized()?;
    let mut inputs = TVec::new();
    for i in 0..model.inputs.len() {
        let fact = model.input_fact(i)?;
        let shape = fact.shape.as_concrete().context("an input of no fixed shape")?;
        inputs.push(Tensor::zero::<f32>(shape)?.into_tvalue());
    }
    let model = model.into_runnable()?;
    let mut times = Vec::new();
    for step in 0..steps {
        // What the frame holds does not change the work.
        let wave = |n: usize| (0..n).map(|i| ((i * 7 + step * 13) as f32 * 0.1).sin()).collect();
        for input in &mut inputs[..2] {
            let values: Vec<f32> = wave(input.len());
            *input = Tensor::from_shape(input.shape(), &values)?.into_tvalue();
        }
        let start = ThreadTime::now();
        let outputs = model.run(inputs.clone())?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
        // Real, imaginary, gains; then the state.
        for (input, output) in inputs[2..].iter_mut().zip(&outputs[3..]) {
            *input = output.clone();
        }
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    let [p50, p99, p999, max] = [0.5, 0.99, 0.999, 1.0].map(at);
    println!("tract {p50:.1} {p99:.1} {p999:.1} {max:.1}");
    Ok(())
}
