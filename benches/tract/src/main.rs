//! The network as ONNX in tract, frame by frame with explicit state: `wisp-tract MODEL FRAMES STEPS`.
//!
//! FRAMES is little-endian float32: the number of frames n; the sizes per frame of `low`, `bands` and the outputs; then
//! n times `low`, n times `bands`, and n times the expected outputs from zero state. Prints p50, p99,
//! p99.9 and maximum thread time per frame in microseconds, and the largest difference from the expected outputs.
use std::error::Error;

use cpu_time::ThreadTime;
use tract_onnx::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, frames, steps] = &arguments[..] else {
        return Err("wisp-tract MODEL FRAMES STEPS".into());
    };
    let steps: usize = steps.parse()?;
    let bytes = std::fs::read(frames)?;
    let mut numbers = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
    let mut take = |n: usize| numbers.by_ref().take(n).collect::<Vec<f32>>();
    let sizes: Vec<usize> = take(4).into_iter().map(|n| n as usize).collect();
    let &[count, low, bands, outputs] = &sizes[..] else { return Err("no header".into()) };
    let (lows, all_bands, wanted) = (take(count * low), take(count * bands), take(count * outputs));

    let model = tract_onnx::onnx().model_for_path(model)?.into_optimized()?;
    let shapes: Vec<Vec<usize>> = (0..model.inputs.len())
        .map(|i| {
            let fact = model.input_fact(i)?;
            fact.shape.as_concrete().map(<[usize]>::to_vec).ok_or("a shape is not fixed".into())
        })
        .collect::<Result<_, Box<dyn Error>>>()?;
    let model = model.into_runnable()?;
    let mut state: TVec<TValue> =
        shapes[2..].iter().map(|s| Tensor::zero::<f32>(s).map(Into::into)).collect::<Result<_, _>>()?;
    let (mut times, mut worst) = (Vec::with_capacity(steps), 0.0f32);
    for step in 0..steps {
        let k = step % count;
        let start = ThreadTime::now();
        let mut inputs: TVec<TValue> = tvec![
            Tensor::from_shape(&shapes[0], &lows[k * low..][..low])?.into(),
            Tensor::from_shape(&shapes[1], &all_bands[k * bands..][..bands])?.into(),
        ];
        inputs.extend(state);
        let mut results = model.run(inputs)?;
        state = results.drain(3..).collect();
        times.push(start.elapsed().as_secs_f64() * 1e6);
        if step < count {
            let mut want = wanted[step * outputs..][..outputs].iter();
            for result in &results {
                for got in result.to_plain_array_view::<f32>()? {
                    let want = want.next().ok_or("more outputs than expected")?;
                    worst = worst.max((got - want).abs());
                }
            }
        }
    }
    times.sort_by(f64::total_cmp);
    let quantile = |share: f64| times[((steps - 1) as f64 * share).round() as usize];
    let [p50, p99, p999, max] = [0.5, 0.99, 0.999, 1.0].map(quantile);
    println!("{p50:.1} {p99:.1} {p999:.1} {max:.1} {worst:e}");
    Ok(())
}
