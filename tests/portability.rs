//! Every kernel in every form that can be asked for is portable: it validates without optional features, translates to
//! SPIR-V, MSL and HLSL, and stays within the limits that every adapter has. No GPU is needed.

// clippy's exemption for tests does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::circuit::{self, Mode};
use naga::back::{self, PipelineConstants, pipeline_constants::process_overrides};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage};
use simrun::model::membrane::MEMBRANES;
use simrun::network::{self, Network, lgn_units};
use simrun::plan::Plan;
use simrun::setup;
use simrun::sim::layout::Layout;
use simrun::sim::shaders::{
    EDGE_WORKGROUPS, GATHER_LANES, INCLUDES, KERNELS, NEURON_WORKGROUP, SUM_LANES, assemble, neuron_workgroup,
};

/// Limits of the least adapter that wgpu supports (`wgpu::Limits::default()`).
const MAX_STORAGE_BUFFERS: usize = 8;
const MAX_BINDING_BYTES: usize = 128 << 20;
const MAX_WORKGROUP_BYTES: u32 = 16 << 10;
const MAX_INVOCATIONS: u32 = 256;

/// Cell modes x ports x (injected current, potential seeds) x trials, with packed records too where they save traffic (10 trials).
fn layouts() -> Vec<Layout> {
    let circuit = circuit::Circuit::random(Mode::Point, 1);
    let mut layouts = Vec::new();
    for n_trials in [1, 10, 32] {
        // A rig of held cells has both.
        for (has_current, has_potential_seeds) in [(false, false), (true, false), (true, true)] {
            for ports_of in [Mode::Point, Mode::TwoCompartment] {
                let dynamics = circuit::dynamics(ports_of);
                let layout = Layout::new(&circuit.network, &dynamics, n_trials, has_current);
                for membrane in MEMBRANES {
                    let mut layout = layout.clone();
                    layout.membrane = membrane;
                    layout.has_potential_seeds = has_potential_seeds;
                    // Networks have groups or none; a rig has none.
                    layout.n_groups = if has_current && !has_potential_seeds { 16 } else { 0 };
                    let packed = layout.clone().with_packed_records(n_trials);
                    if packed != layout {
                        layouts.push(packed);
                    }
                    layouts.push(layout);
                }
            }
        }
    }
    layouts
}

/// All combinations of the overrides of a kernel.
fn overrides_in_use(kernel: &str, module: &Module, n_trials: usize) -> Vec<PipelineConstants> {
    let mut combinations = vec![PipelineConstants::default()];
    for (_, declared) in module.overrides.iter() {
        // Lengths of workgroup arrays are expressions of overrides: overrides without a name.
        let Some(name) = declared.name.clone() else { continue };
        let values = match name.as_str() {
            // All threads of a neuron are in one workgroup.
            "WORKGROUP_SIZE" if kernel.starts_with("neuron_") => {
                BTreeSet::from([neuron_workgroup(n_trials as u32)])
            }
            "WORKGROUP_SIZE" => BTreeSet::from([NEURON_WORKGROUP, EDGE_WORKGROUPS[0], EDGE_WORKGROUPS[1]]),
            "LANES" if kernel == "gradient_sums" => BTreeSet::from(SUM_LANES),
            "LANES" => BTreeSet::from(GATHER_LANES),
            "TRIAL_THREADS" => BTreeSet::from([1, n_trials as u32]),
            "WRITE_TAPE" | "CELL_GRADIENT" | "STRUCTURE" => BTreeSet::from([0, 1]),
            "LEARNED" => BTreeSet::from([0b001, 0b111]),
            "STEPS" => BTreeSet::from([1, 500]),
            // Where a share of the trials of a batch begins.
            "FIRST_BLOCK" => BTreeSet::from([0, 3]),
            "LEAD" => BTreeSet::from([0, 3]),
            other => panic!("say here which values of the override {other} are in use"),
        };
        let with = |value: u32| {
            let name = name.clone();
            combinations.iter().cloned().map(move |mut constants| {
                constants.insert(name.clone(), f64::from(value));
                constants
            })
        };
        combinations = values.into_iter().flat_map(with).collect();
    }
    combinations
}

fn parse(name: &str, source: &str) -> Module {
    naga::front::wgsl::parse_str(source)
        .unwrap_or_else(|e| panic!("{}", e.emit_to_string_with_path(source, name)))
}

/// Without any capability: no optional feature of an adapter is needed.
fn validate(name: &str, module: &Module) -> ModuleInfo {
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
    validator.validate(module).unwrap_or_else(|e| panic!("{name}: {e:?}"))
}

/// Calls `visit(description, module, its info)` for every kernel in every layout with all its overrides put in.
fn for_each_form(mut visit: impl FnMut(&str, &Module, &ModuleInfo)) {
    let mut n_forms = 0;
    for layout in layouts() {
        for (name, _) in KERNELS {
            let module = parse(name, &assemble(name, &layout).unwrap());
            let info = validate(name, &module);
            for constants in overrides_in_use(name, &module, layout.n_trials) {
                let form = format!("{name} {constants:?} in {layout:?}");
                let entry = Some((ShaderStage::Compute, "main"));
                let (module, info) = process_overrides(&module, &info, entry, &constants)
                    .unwrap_or_else(|e| panic!("{form}: {e}"));
                visit(&form, &module, &info);
                n_forms += 1;
            }
        }
    }
    // 48 layouts x 3 sizes of a workgroup x (the sums of gradients of 4 forms, the gather of 3, the drawn sources of 8, the update, the list
    // of sources and the weight gradient of 2, the others of 1), and 2 neuron kernels of 2 forms, twice as many where there is more than one trial (36 of the layouts).
    assert_eq!(n_forms, 48 * 3 * (4 + 3 + 8 + 3 * 2 + KERNELS.len() - 8) + 2 * 2 * (12 + 2 * 36));
}

#[test]
fn every_form_translates_to_spirv_msl_and_hlsl() {
    for_each_form(|form, module, info| {
        let spirv =
            back::spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".to_owned() };
        let words = back::spv::write_vec(module, info, &back::spv::Options::default(), Some(&spirv))
            .unwrap_or_else(|e| panic!("{form}: SPIR-V: {e}"));
        assert_eq!(words[0], 0x0723_0203, "{form}: not SPIR-V");

        let metal = back::msl::Options { lang_version: (2, 0), ..Default::default() };
        let (text, _) = back::msl::write_string(module, info, &metal, &back::msl::PipelineOptions::default())
            .unwrap_or_else(|e| panic!("{form}: MSL: {e}"));
        assert!(text.contains("kernel void main_("), "{form}: no Metal kernel");

        // Shader model 5.1 is what FXC, the compiler of every Windows, takes.
        let options =
            back::hlsl::Options { shader_model: back::hlsl::ShaderModel::V5_1, ..Default::default() };
        let entry =
            back::hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, "main".to_owned())) };
        let mut text = String::new();
        back::hlsl::Writer::new(&mut text, &options, &entry)
            .write(module, info, None)
            .unwrap_or_else(|e| panic!("{form}: HLSL: {e}"));
        assert!(text.contains("[numthreads("), "{form}: no HLSL kernel");
    });
}

#[test]
fn every_form_is_within_the_limits_of_every_adapter() {
    let mut largest_workgroup_bytes = 0;
    for_each_form(|form, module, _| {
        let of_space = |wanted: fn(&AddressSpace) -> bool| {
            module.global_variables.iter().map(|(_, v)| v).filter(move |v| wanted(&v.space))
        };
        let n_storage = of_space(|s| matches!(s, AddressSpace::Storage { .. })).count();
        assert!((1..=MAX_STORAGE_BUFFERS).contains(&n_storage), "{form}: {n_storage} storage buffers");
        let workgroup_bytes: u32 = of_space(|s| *s == AddressSpace::WorkGroup)
            .map(|v| module.types[v.ty].inner.size(module.to_ctx()))
            .sum();
        assert!(workgroup_bytes <= MAX_WORKGROUP_BYTES, "{form}: {workgroup_bytes} bytes a workgroup");
        largest_workgroup_bytes = largest_workgroup_bytes.max(workgroup_bytes);
        let [x, y, z] = module.entry_points[0].workgroup_size;
        assert!((1..=MAX_INVOCATIONS).contains(&(x * y * z)), "{form}: {x} x {y} x {z} invocations");
    });
    // The gather's partial sums: 128 threads, 32 trials, 4 bytes. Guards the reading of sizes above.
    assert_eq!(largest_workgroup_bytes, 128 * 32 * 4);
}

#[test]
fn a_kernel_that_needs_an_optional_feature_is_found_out() {
    let f64s = "@compute @workgroup_size(1) fn main() { var x: f64 = 1.0lf; x += x; }";
    let validated =
        Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&parse("f64", f64s));
    assert!(validated.is_err());
}

/// Largest binding of each group of buffers, bytes; edges are split into shards and not among them.
fn bindings(layout: &Layout, n_steps: usize, n_subfields: usize) -> [(&'static str, usize); 11] {
    let words = 4;
    let n_history = layout.n_slots - 1;
    [
        ("state, checkpoints", layout.state_words() * words),
        ("tape of a step", layout.tape_words() * words),
        ("adjoint state", layout.adjoint_words() * words),
        ("arrivals ring", layout.ring_words() * words),
        ("adjoint arrivals ring", layout.adj_ring_words() * words),
        ("seeds", layout.seeds_words(n_steps) * words),
        ("spikes", layout.spikes_words() * words),
        ("checkpoint spikes", n_history * layout.spikes_words() * words),
        ("gradient sums", layout.n_sources() * (network::N_CELL_TYPES + 1) * words),
        ("pair factors", (2 * layout.n_pair_types() + 1) * words),
        ("stimulus", (2 * n_subfields).max(4 * n_steps) * layout.n_trials * words),
    ]
}

/// The layout of a scene: its neurons are placed, no edge is drawn.
fn layout_of_scene(scene: &str, settings: &[&str]) -> (Layout, usize) {
    let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
    let plan =
        Plan::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes").join(scene), &settings).unwrap();
    let tables = common::tables();
    let simrun::scene::NetworkScene::V1(v1) = &plan.scene.network else { panic!("{scene} is not of V1") };
    let network = Network {
        cell_models: tables.cell_models(),
        neurons: network::place_neurons(&tables, v1.radius_um, plan.scene.seed),
        n_lgn: lgn_units::place(&tables.lgn_units, plan.scene.seed).len(),
        n_background: v1.background.n_units as usize,
        unit_type_ix: network::v1_unit_types(17_400, v1.background.n_units as usize),
        ..Network::default()
    };
    let dynamics = setup::dynamics(&plan, &tables);
    (Layout::new(&network, &dynamics, plan.n_trials as usize, false), plan.n_steps as usize)
}

#[test]
fn bindings_of_the_67k_scene_fit_the_least_adapter() {
    let (layout, n_steps) = layout_of_scene("v1_67k.ron", &[]);
    assert!((66_000..67_500).contains(&layout.n_neurons), "{} neurons", layout.n_neurons);
    assert_eq!((layout.n_lgn, layout.n_trials), (17_400, 10));
    for (name, bytes) in bindings(&layout, n_steps, 2 * layout.n_lgn) {
        println!("{name}: {:.1} MiB", bytes as f64 / f64::from(1 << 20));
        assert!(bytes <= MAX_BINDING_BYTES, "{name}: {bytes} bytes");
    }
    // The limit is one that can be broken: four times the trials do.
    let (wide, n_steps) = layout_of_scene("v1_67k.ron", &["trials.n_evoked=16", "trials.n_spontaneous=16"]);
    assert!(bindings(&wide, n_steps, 2 * wide.n_lgn).iter().any(|(_, bytes)| *bytes > MAX_BINDING_BYTES));
}

#[test]
fn every_shader_says_what_it_is_and_every_binding_its_shape() {
    let membranes = MEMBRANES.map(|membrane| (membrane.name, membrane.wgsl));
    for (name, text) in KERNELS.iter().chain(INCLUDES).chain(&membranes) {
        let first = text.lines().next().unwrap();
        assert!(first.starts_with("// ") && first.len() > 30, "{name} starts with '{first}'");
        let lines: Vec<&str> = text.lines().collect();
        for (i, line) in lines.iter().enumerate().filter(|(_, l)| l.contains("var<storage")) {
            // Behind the binding, or in the lines above it.
            let said = line.contains("// ") || i > 0 && lines[i - 1].starts_with("// ");
            assert!(said, "{name}: a binding without its shape and unit: {line}");
        }
    }
}
