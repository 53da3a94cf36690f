//! Device time of every kernel and of whole training steps, beside the memory bandwidth that the same adapter reaches.
//!
//! `cargo bench` takes two training steps of each scene named in `SIMRUN_BENCH_SCENES` (default `v1_4k v1_67k`; settings may follow
//! a scene: `v1_67k:time.duration_ms=100`), then lets criterion time the last segment of the second, forward, backward and update,
//! by the device's timestamps: every dispatch in its place, on the work that it has there. The table at the end holds the minima by
//! kernel, which a busy machine disturbs least.

#![allow(missing_docs, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput};
use simrun::gpu::{Buffer, Gpu, Kernel, PassRecord};
use simrun::network::N_CLASSES;
use simrun::network::tables::Tables;
use simrun::plan::Plan;
use simrun::setup;
use simrun::sim::KernelTime;
use simrun::sim::layout::Layout;
use simrun::train::Session;

/// One kernel of one scene: every measurement of it.
struct Measured {
    scene: String,
    time: KernelTime,
    ms: Vec<f64>,
    bytes: u64,
}

fn main() {
    let scenes = std::env::var("SIMRUN_BENCH_SCENES").unwrap_or_else(|_| "v1_4k v1_67k".to_owned());
    let gpu = Gpu::open_tested(None).expect("an adapter that computes rightly");
    let bound = triad_bytes_per_s(&gpu);
    println!("{} ({}): triad {:.1} GB/s", gpu.adapter().name, gpu.adapter().driver, bound * 1e-9);
    let mut criterion = Criterion::default().configure_from_args();
    let mut all = Vec::new();
    for scene in scenes.split_whitespace() {
        all.extend(measure(&gpu, scene, &mut criterion));
    }
    criterion.final_summary();
    print_table(&all, bound);
}

/// Takes two training steps of a scene, then times the last segment of the second.
fn measure(gpu: &Arc<Gpu>, scene: &str, criterion: &mut Criterion) -> Vec<Measured> {
    let mut words = scene.split(':');
    let name = words.next().unwrap_or_default();
    let settings: Vec<String> = words.map(ToOwned::to_owned).collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes").join(format!("{name}.ron"));
    let plan = Plan::read(&file, &settings).expect("a good scene");
    let tables = Tables::read(&plan.tables_dir).expect("good tables");
    let built = setup::build(&plan, &tables, &mut |text| println!("{text}")).expect("builds");
    let mut session = Session::new(&plan, gpu, &tables, built).expect("fits");
    for step in 1..=2 {
        let ms = session.step(step).expect("trains").ms;
        println!(
            "{scene}, training step {step}: stimulus {:.0}, forward {:.0}, adjoint {:.0}, update {:.0} ms",
            ms.stimulus, ms.forward, ms.adjoint, ms.update
        );
    }
    let mut measured: Vec<Measured> = Vec::new();
    let mut group = criterion.benchmark_group(scene);
    // One profile a sample.
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_millis(1));
    let first = session.profile().expect("the adapter has timestamps");
    group.throughput(Throughput::Elements(first.iter().map(|time| time.n_edges).sum()));
    group.bench_function("last segment", |bencher| {
        bencher.iter_custom(|n| {
            let mut ms = 0.0;
            let mut times = Vec::new();
            for _ in 0..n {
                times.extend(session.profile().expect("the adapter has timestamps"));
            }
            for time in times {
                ms += time.ms;
                match measured.iter_mut().find(|m| m.time.name == time.name) {
                    Some(known) => known.ms.push(time.ms),
                    None => measured.push(Measured {
                        scene: scene.to_owned(),
                        bytes: bytes(session.layout(), &time),
                        ms: vec![time.ms],
                        time,
                    }),
                }
            }
            Duration::from_secs_f64(ms * 1e-3)
        });
    });
    group.finish();
    measured
}

/// Bytes that all dispatches of a kernel have to move at least: every word that it reads or writes, once.
fn bytes(layout: &Layout, time: &KernelTime) -> u64 {
    let trials = layout.n_trials as u64;
    let plane = layout.plane_words() as u64;
    let (ports, two) = (2 * layout.n_ports as u64, u64::from(layout.two_compartment));
    let n = time.n_dispatches as u64;
    let words = match time.name {
        // Potentials, after-spike currents, refractory counter and ports, read and written; arrivals; tape.
        "neuron" => n * plane * (2 * (4 + two + ports) + N_CLASSES as u64) + n * layout.tape_words() as u64,
        // The same state's adjoint and the penalty, read and written; adj_arrivals written; tape.
        "neuron adjoint" => {
            n * plane * (2 * (4 + two + ports) + N_CLASSES as u64) + n * layout.tape_words() as u64
        }
        // Masks.
        "sources" => n * (layout.n_lgn + layout.n_background) as u64,
        // Target and weight of an edge; the sum of an event read and written.
        "spread" => 2 * time.n_edges + 2 * time.n_events,
        // Target and weight of an edge; all its trials.
        "gather" => time.n_edges * (2 + trials),
        // Target, gradient read and written; one word an event.
        "weight gradient" => 3 * time.n_edges + time.n_events,
        // Target, weight, gradient.
        "gradient sums" => 3 * time.n_edges,
        // Target and gradient read; weight and two moments read and written.
        "update weights" => 8 * time.n_edges,
        _ => 0,
    };
    4 * words
}

fn print_table(all: &[Measured], bound: f64) {
    println!(
        "\n| scene | kernel | dispatches | ms a dispatch, least | median over least | M edges/s | GB/s | of the triad |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for kernel in all {
        let mut ms = kernel.ms.clone();
        ms.sort_by(f64::total_cmp);
        let (least, median) = (ms[0], ms[ms.len() / 2]);
        let n = kernel.time.n_dispatches as f64;
        let rate = |amount: u64| amount as f64 / (least * 1e-3);
        let edges = (kernel.time.n_edges > 0).then(|| format!("{:.0}", rate(kernel.time.n_edges) * 1e-6));
        let bytes = (kernel.bytes > 0).then(|| rate(kernel.bytes));
        println!(
            "| {} | {} | {n} | {:.3} | {:.2} | {} | {} | {} |",
            kernel.scene,
            kernel.time.name,
            least / n,
            median / least,
            edges.unwrap_or_default(),
            bytes.map(|b| format!("{:.2}", b * 1e-9)).unwrap_or_default(),
            bytes.map(|b| format!("{:.0} %", 100.0 * b / bound)).unwrap_or_default(),
        );
    }
}

/// The bound: `a = b + s c` over 3 x 64 MiB, best of ten.
fn triad_bytes_per_s(gpu: &Arc<Gpu>) -> f64 {
    const N: usize = 16 << 20;
    let source = "
        @group(0) @binding(0) var<storage, read_write> a: array<vec4<f32>>;
        @group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
        @group(0) @binding(2) var<storage, read> c: array<vec4<f32>>;
        override WORKGROUP_SIZE: u32 = 64u;
        @compute @workgroup_size(WORKGROUP_SIZE)
        fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
            let i = id.x + id.y * groups.x * WORKGROUP_SIZE;
            if (i < arrayLength(&a)) { a[i] = b[i] + 0.5 * c[i]; }
        }";
    let kernel = Kernel::new(gpu, "triad", source, &[("WORKGROUP_SIZE", 64.0)]).expect("compiles");
    let [a, b, c] = ["a", "b", "c"].map(|name| Buffer::storage(gpu, name, N).expect("fits"));
    let group = kernel.bind(&[("a", &a), ("b", &b), ("c", &c)]).expect("binds");
    let record = || -> PassRecord<'_> {
        Box::new(|pass| kernel.dispatch(pass, &group, 0, kernel.workgroups_for(N / 4)))
    };
    let ms = gpu.time_passes((0..10).map(|_| record()).collect()).expect("the adapter has timestamps");
    (3 * 4 * N) as f64 / (ms.into_iter().fold(f64::INFINITY, f64::min) * 1e-3)
}
