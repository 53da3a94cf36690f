//! Device time of every kernel, for criterion: `cargo bench`, and `cargo bench -- gather` for one.
//!
//! Two training steps of each scene named in `SIMRUN_BENCH_SCENES` (settings may follow a scene:
//! `v1_67k:time.duration_ms=100`), then the last segment of the second is timed by the device's timestamps, forward, backward and
//! update: every dispatch in its place, on the work that it has there. Criterion keeps what it measured and compares with it the
//! next time. `simrun measure` sets the same times beside the bounds of the adapter.

#![allow(missing_docs, clippy::expect_used)]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use simrun::gpu::Gpu;
use simrun::plan::Plan;
use simrun::setup;
use simrun::sim::KernelTime;
use simrun::train::Session;

/// Scenes where none are named.
const SCENES: &str = "v1_4k:time.duration_ms=100:time.analysis_start_ms=20";
/// Profiles of a scene; each is a sample of every kernel.
const N_SAMPLES: usize = 10;

fn main() {
    let scenes = std::env::var("SIMRUN_BENCH_SCENES").unwrap_or_else(|_| SCENES.to_owned());
    let gpu = Gpu::open_tested(None).expect("an adapter that computes rightly");
    println!("{} ({})", gpu.adapter().name, gpu.adapter().driver);
    let mut criterion = Criterion::default().configure_from_args();
    for scene in scenes.split_whitespace() {
        bench(&gpu, scene, &mut criterion);
    }
    criterion.final_summary();
}

/// Times the kernels of a scene.
fn bench(gpu: &Arc<Gpu>, scene: &str, criterion: &mut Criterion) {
    let mut session = trained(gpu, scene);
    let mut profile = || session.profile().expect("the adapter has timestamps");
    let profiles: Vec<Vec<KernelTime>> = (0..N_SAMPLES).map(|_| profile()).collect();
    let mut group = criterion.benchmark_group(scene);
    // The samples are there already: criterion need not choose how many iterations make one.
    group.sampling_mode(SamplingMode::Flat).sample_size(N_SAMPLES);
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_millis(1));
    for kernel in &profiles[0] {
        if kernel.n_edges > 0 {
            group.throughput(Throughput::Elements(kernel.n_edges));
        }
        let of_kernel = |times: &Vec<KernelTime>| {
            let same = times.iter().filter(|time| time.name == kernel.name);
            Duration::from_secs_f64(same.map(|time| 1e-3 * time.ms).sum())
        };
        let mut samples: VecDeque<Duration> = profiles.iter().map(of_kernel).collect();
        group.bench_function(BenchmarkId::from_parameter(kernel.name), |bencher| {
            bencher.iter_custom(|n| {
                let mut next = || {
                    let sample = samples.pop_front().expect("a sample");
                    samples.push_back(sample);
                    sample
                };
                (0..n).map(|_| next()).sum()
            });
        });
    }
    group.finish();
}

/// A session that has taken two training steps.
fn trained(gpu: &Arc<Gpu>, scene: &str) -> Session {
    let mut words = scene.split(':');
    let name = words.next().unwrap_or_default();
    let settings: Vec<String> = words.map(ToOwned::to_owned).collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes").join(format!("{name}.ron"));
    let plan = Plan::read(&file, &settings).expect("a good scene");
    let tables = setup::tables(&plan).expect("good tables");
    let built = setup::build(&plan, &tables, &mut |text| println!("{text}")).expect("builds");
    let mut session = Session::new(&plan, gpu, &tables, built).expect("fits");
    for step in 1..=2 {
        let ms = session.step(step).expect("trains").ms;
        println!("{scene}, training step {step}: forward {:.0} ms, adjoint {:.0} ms", ms.forward, ms.adjoint);
    }
    session
}
