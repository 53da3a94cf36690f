//! What host and device agree on: the structs of `src/sim/layout.rs` against their twins in WGSL, as naga lays them out. No
//! GPU is needed.

// clippy's exemption for tests does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::mem::offset_of;

use common::circuit::{Circuit, Mode};
use naga::{AddressSpace, Scalar, TypeInner};
use simrun::sim::layout::{KeepUniform, Layout, StepUniform, UNIFORM_STRIDE, UpdateUniform};
use simrun::sim::shaders::{KERNELS, assemble};

/// A field of a struct: name, offset in bytes, type.
type Field = (String, usize, &'static str);

/// Name, fields and size of the uniform of a kernel, if it has one.
fn device_uniform(name: &str, source: &str) -> Option<(String, Vec<Field>, usize)> {
    let module = naga::front::wgsl::parse_str(source).unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut uniforms = module.global_variables.iter().filter(|(_, v)| v.space == AddressSpace::Uniform);
    let (_, variable) = uniforms.next()?;
    assert!(uniforms.next().is_none(), "{name} has two uniforms, but a dispatch has one offset");
    let ty = &module.types[variable.ty];
    let TypeInner::Struct { members, span } = &ty.inner else { panic!("{name}: the uniform is no struct") };
    let fields = members.iter().map(|member| {
        let kind = match module.types[member.ty].inner {
            TypeInner::Scalar(Scalar::U32) => "u32",
            TypeInner::Scalar(Scalar::F32) => "f32",
            ref other => panic!("{name}: a field of type {other:?}"),
        };
        (member.name.clone().unwrap_or_default(), member.offset as usize, kind)
    });
    Some((ty.name.clone().unwrap_or_default(), fields.collect(), *span as usize))
}

/// Name of a field's type, for a pointer that is never followed.
fn type_of<S, T>(_: fn(&S) -> &T) -> &'static str {
    std::any::type_name::<T>()
}

/// The fields of a Rust struct, which the compiler checks for their names and their completeness.
macro_rules! host_fields {
    ($struct:ident { $($field:ident),* $(,)? }) => {{
        // No `..`: a field that is missing here does not compile.
        let $struct { $($field: _),* } = $struct::default();
        let fields: Vec<Field> = vec![$((
            stringify!($field).to_owned(),
            offset_of!($struct, $field),
            type_of(|s: &$struct| &s.$field),
        )),*];
        (fields, size_of::<$struct>())
    }};
}

fn host_struct(name: &str) -> (Vec<Field>, usize) {
    match name {
        "Step" => host_fields!(StepUniform {
            step,
            slot,
            first_arrival_step,
            spike_step,
            seed_low,
            seed_high,
            in_window,
            current_gate,
            arrival_scale,
            arrival_unit,
            voltage_weight,
            x_low,
            x_high,
            n_drawn,
            recurrent_damping,
            membrane_damping,
        }),
        "Update" => host_fields!(UpdateUniform {
            learning_rate,
            beta_1,
            beta_2,
            bias_1,
            bias_2,
            epsilon,
            clip,
            exponentiated,
        }),
        "Keep" => host_fields!(KeepUniform { factor }),
        other => panic!("no struct of src/sim/layout.rs is the twin of {other}"),
    }
}

fn layout(mode: Mode) -> Layout {
    let circuit = Circuit::random(mode, 1);
    Layout::new(&circuit.network, &circuit.dynamics, circuit.n_trials, true)
}

#[test]
fn every_uniform_is_laid_out_alike_on_host_and_device() {
    let mut seen = Vec::new();
    let layouts = [Mode::Point, Mode::TwoCompartment].map(layout);
    let forms = layouts.iter().flat_map(|layout| KERNELS.iter().map(move |(kernel, _)| (kernel, layout)));
    for (kernel, layout) in forms {
        let Some((name, fields, size)) = device_uniform(kernel, &assemble(kernel, layout).unwrap()) else {
            continue;
        };
        let (host_fields, host_size) = host_struct(&name);
        assert_eq!(fields, host_fields, "{kernel}: {name}");
        assert_eq!(size, host_size, "{kernel}: size of {name}");
        assert!(size <= UNIFORM_STRIDE, "{kernel}: {name} is longer than the distance between two");
        seen.push(name);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["Keep", "Step", "Update"]);
}

#[test]
fn a_moved_field_is_found_out() {
    let moved = "struct Step { slot: u32, step: u32 } @group(0) @binding(0) var<uniform> step: Step;
        @compute @workgroup_size(1) fn main() { _ = step.step; }";
    let (name, fields, _) = device_uniform("moved", moved).unwrap();
    let (host_fields, _) = host_struct(&name);
    assert_eq!(fields[0].0, host_fields[1].0);
    assert_ne!(fields[..2], host_fields[..2]);
}

/// Value of a constant of the prelude.
fn constant(prelude: &str, name: &str) -> usize {
    let line = prelude.lines().find(|l| l.starts_with(&format!("const {name}: u32 = ")));
    let line = line.unwrap_or_else(|| panic!("no constant {name}"));
    line.split("= ").nth(1).unwrap().trim_end_matches("u;").parse().unwrap()
}

#[test]
fn planes_and_tables_of_the_prelude_follow_one_another() {
    for mode in [Mode::Point, Mode::TwoCompartment] {
        let circuit = Circuit::random(mode, 1);
        let layout = Layout::new(&circuit.network, &circuit.dynamics, circuit.n_trials, true);
        let prelude = layout.prelude();
        let number = |name: &str| constant(&prelude, name);
        let plane = layout.plane_words();
        assert_eq!(plane, number("N_NEURONS") * number("N_TRIALS"));
        assert_eq!(layout.state_plane("CURRENT").unwrap(), number("STATE_CURRENT") * plane);
        assert_eq!(layout.state_words(), (number("STATE_PORTS") + 2 * number("N_PORTS")) * plane);
        let last = if mode == Mode::Point { "TAPE_DU_DLOG_G" } else { "TAPE_A_D" };
        assert_eq!(layout.tape_words(), (number(last) + 1) * plane);
        assert_eq!(layout.adjoint_sums_start(), (number("ADJ_PORTS") + 2 * number("N_PORTS")) * plane);
        assert_eq!(layout.adjoint_sums_start(), number("ADJ_SUMS"));
        assert_eq!([number("SUM_VOLTAGE_LOSS"), number("SUM_LOG_COUPLING"), number("N_ADJ_SUMS")], [0, 5, 6]);
        assert_eq!(layout.adjoint_words(), number("ADJ_SUMS") + 6 * number("N_NEURONS"));
        assert_eq!(layout.ring_words(), number("N_SLOTS") * number("N_CLASSES") * plane);
        assert_eq!(
            layout.adj_ring_words(),
            number("N_SLOTS") * number("N_CLASSES") * 4 * number("RECORD") * number("N_NEURONS")
        );
        assert!((number("N_TRIALS")..number("N_TRIALS") + 4).contains(&(4 * number("RECORD"))));
        assert_eq!(layout.seeds_words(7), number("SEEDS_POPULATION") + layout.population_words(7));
        // The list of chunks, of at most all, and the active list, of at most every neuron, end the spikes of a step.
        let rows = circuit.network.rows.offsets.windows(2);
        assert_eq!(layout.n_chunks as u64, rows.map(|row| (row[1] - row[0]).div_ceil(512)).sum::<u64>());
        assert_eq!(number("SPIKES_ACTIVE"), number("SPIKES_CHUNKS") + layout.n_chunks);
        assert_eq!(layout.spikes_words(), number("SPIKES_ACTIVE") + number("N_NEURONS"));
        let theta = vec![[0.0; 5]; circuit.network.cell_models.len()];
        let tables = layout.tables(&circuit.network, &circuit.dynamics, &theta);
        let ports = circuit.network.cell_models.len() * number("N_PORTS") * number("PORT_STRIDE");
        assert_eq!(number("TABLE_ANGLES"), number("TABLE_PORTS") + ports);
        assert_eq!(number("TABLE_GROUPS"), number("TABLE_ANGLES") + number("N_NEURONS"));
        assert_eq!(tables.len(), number("TABLE_GROUPS"));
        let threshold = f32::from_bits(tables[number("TABLE_CELLS") + number("CELL_THRESHOLD")]);
        let model = &circuit.network.cell_models[0];
        assert_eq!(threshold, (model.v_th_mv - model.e_l_mv) as f32);
    }
}
