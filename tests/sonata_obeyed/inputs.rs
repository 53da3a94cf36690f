//! Inputs: files of spikes, their modules, layouts, units and times.

use super::sonata_circuit::{Data, SonataCircuit, build_scene};
use super::{built, changed, hears, refused};

#[test]
fn a_list_of_one_file_is_the_file() {
    let alone = built(&SonataCircuit::good(), &[]);
    let one = changed(|c| {
        c.replace("config.json", r#""input_file": "spikes.h5""#, r#""input_file": ["spikes.h5"]"#);
        c.replace(
            "config.json",
            r#""nodes_file": "$NET/v1_nodes.h5""#,
            r#""nodes_file": ["$NET/v1_nodes.h5"]"#,
        );
    });
    assert_eq!(built(&one, &[]), alone);
    let two = changed(|c| {
        c.set("more.h5", "spikes/lgn/node_ids", Data::Ids(vec![1]));
        c.set("more.h5", "spikes/lgn/timestamps", Data::Numbers(vec![5.0]));
        c.replace("config.json", r#""input_file": "spikes.h5""#, r#""input_file": ["spikes.h5", "more.h5"]"#);
    });
    // BMTK plays the k-th of several in its k-th run.
    refused(&two, &[], &["config.json", "inputs.", "names 2 files", "network.inputs"]);
}

#[test]
fn inputs_that_are_played_otherwise_are_refused_by_name() {
    let input = |with: &str| {
        changed(|c| {
            c.replace("config.json", r#""module": "sonata""#, &format!(r#""module": "sonata"{with}"#))
        })
    };
    for (with, named) in [
        (r#", "interval": [10000, 10100]"#, "interval"),
        (r#", "time_scale": "s""#, "time_scale"),
        (r#", "offset": 3.0"#, "offset"),
        (r#", "delay": 1"#, "delay"),
        (r#", "units": "fortnights""#, "fortnights"),
        (r#", "population": 3"#, "population"),
    ] {
        refused(&input(with), &[], &[named]);
    }
    let module = |name: &str| {
        changed(|c| c.replace("config.json", r#""module": "sonata""#, &format!(r#""module": {name}"#)))
    };
    for name in [r#""ecephys_probe""#, r#""synapse_replay""#, r#""poisson""#, "7"] {
        refused(&module(name), &[], &["config.json", "inputs.lgn", name, "sonata, h5", "network.inputs"]);
    }
    built(&module(r#""h5""#), &[]);
    // A population is chosen, and a node set, which may be a part of it.
    let (_, none, _) = built(&input(r#", "population": ["lgn"]"#), &[]);
    assert_eq!(none.len(), 4);
    refused(&input(r#", "population": "lgn2""#), &[], &["inputs.lgn", "spikes.h5"]);
    let part = changed(|c| {
        c.replace(
            "node_sets.json",
            r#""both""#,
            r#""off": {"population": "lgn", "node_id": [1, 2]}, "both""#,
        );
        c.replace("config.json", r#""node_set": "lgn""#, r#""node_set": "off""#);
    });
    let (_, spikes, said) = built(&part, &[]);
    assert_eq!(spikes, [(2, 2), (3, 1)]);
    hears(&said, &["spikes.h5", "2 spikes", "'lgn'", "node_set"]);
}

#[test]
fn spikes_have_the_layout_and_the_unit_that_their_file_says() {
    let ids = || Data::Ids(vec![0, 2, 1, 0]);
    let flat = changed(|c| {
        c.data.retain(|(file, _), _| file != "spikes.h5");
        c.set("spikes.h5", "spikes/node_ids", ids());
        c.set("spikes.h5", "spikes/timestamps", Data::Numbers(vec![0.5, 1.3, 2.0, 19.9]));
    });
    refused(&flat, &[], &["spikes.h5", "spikes/node_ids", "no population", "/spikes/POPULATION"]);
    let alone = built(&SonataCircuit::good(), &[]).1;
    // Seconds under another name of the attribute, and where the configuration says so.
    let seconds = |c: &mut SonataCircuit| {
        c.data.retain(|(file, _), _| file != "spikes.h5");
        c.attributes.retain(|(file, _, _), _| file != "spikes.h5");
        c.set("spikes.h5", "spikes/lgn/node_ids", ids());
        c.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(vec![0.0005, 0.0013, 0.002, 0.0199]));
    };
    let unit = changed(|c| {
        seconds(c);
        c.attribute("spikes.h5", "spikes/lgn/timestamps", "unit", "s");
    });
    assert_eq!(built(&unit, &[]).1, alone);
    let configured = changed(|c| {
        seconds(c);
        c.replace("config.json", r#""module": "sonata""#, r#""units": "s""#);
    });
    assert_eq!(built(&configured, &[]).1, alone);
    // A word where nothing says so and all lie at the start; none where the file names the unit.
    let many = |c: &mut SonataCircuit| {
        c.set("spikes.h5", "spikes/lgn/node_ids", Data::Ids(vec![0; 30]));
        let times = (1..=30).map(|i| 0.02 * f64::from(i)).collect();
        c.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(times));
        c.attributes.retain(|(file, _, _), _| file != "spikes.h5");
    };
    let (_, _, said) = built(&changed(many), &[]);
    hears(&said, &["spikes.h5", "all 30 spikes", "0.6 of 20 ms", "taken as ms"]);
    let named = changed(|c| {
        many(c);
        c.attribute("spikes.h5", "spikes/lgn/timestamps", "units", "ms");
    });
    let (_, _, said) = built(&named, &[]);
    assert!(!said.iter().any(|line| line.contains("taken as ms")), "{said:?}");
    let late = changed(|c| c.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(vec![1e4; 4])));
    let (_, spikes, said) = built(&late, &[]);
    assert!(spikes.is_empty());
    hears(&said, &["spikes.h5", "no spike"]);
    let table = changed(|c| {
        c.texts.insert("spikes.csv".into(), "timestamps node_ids trial\n1.0 0 1\n2.0 0 2\n".into());
        c.replace("config.json", "spikes.h5", "spikes.csv");
    });
    refused(&table, &[], &["spikes.csv", "'trial'"]);
}

#[test]
fn spikes_before_the_first_step_are_a_choice() {
    let circuit =
        changed(|c| c.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(vec![0.0, 1.3, 2.0, 19.9])));
    refused(&circuit, &[], &["spikes.h5", "node 0 at 0 ms", "network.early_spikes"]);
    let (_, dropped, said) = built(&circuit, &["network.early_spikes=Drop"]);
    assert_eq!(dropped, [(2, 2), (3, 1), (39, 0)]);
    hears(&said, &["1 spikes", "left out"]);
    let (_, shifted, said) = built(&circuit, &["network.early_spikes=FirstStep"]);
    assert_eq!(shifted, [(0, 0), (2, 2), (3, 1), (39, 0)]);
    hears(&said, &["1 spikes", "first step"]);
    let negative =
        changed(|c| c.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(vec![-0.4, 1.3, 2.0, 19.9])));
    refused(&negative, &["network.early_spikes=FirstStep"], &["-0.4 ms"]);
}

#[test]
fn many_spikes_at_one_time_are_read_in_a_moment() {
    let n = 200_000;
    let circuit = changed(|c| {
        c.set("spikes.h5", "spikes/lgn/node_ids", Data::Ids(vec![1; n]));
        c.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(vec![3.0; n]));
    });
    let (_, spikes, said) = built(&circuit, &[]);
    assert_eq!(spikes, (5..40).map(|step| (step, 1)).collect::<Vec<_>>());
    hears(&said, &["199999 spikes", "199965 of them beyond"]);
}

#[test]
fn a_file_without_any_spikes_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let scene = SonataCircuit::good().write(folder.path());
    let file = rust_hdf5::H5File::create(folder.path().join("spikes.h5")).unwrap();
    drop(file.create_group("spikes").unwrap());
    file.close().unwrap();
    for inputs in [&[][..], &[r#"network.inputs=[(spikes: {"lgn": "spikes.h5"})]"#]] {
        let (built, said) = build_scene(&scene, inputs).unwrap();
        assert!(built.given.unwrap().inputs[0].spikes.is_empty());
        hears(&said, &["spikes.h5", "no spike of the inputs lies in a trial"]);
    }
}

#[test]
fn times_on_the_grid_stay_there_in_seconds_and_after_a_start() {
    const N_STEPS: u32 = 200;
    let settings = ["time.dt_ms=0.1", "time.duration_ms=20"];
    let with = |times: Vec<f64>, unit: &str| {
        changed(|c| {
            c.set("spikes.h5", "spikes/lgn/node_ids", Data::Ids(vec![1; times.len()]));
            c.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(times.clone()));
            c.attribute("spikes.h5", "spikes/lgn/timestamps", "units", unit);
        })
    };
    // A spike at the end of every step, its time as decimals give it.
    let expected: Vec<(u32, u32)> = (0..N_STEPS).map(|step| (step, 1)).collect();
    for start_ms in [0, 100, 1000, 2500] {
        let times = (1..=N_STEPS).map(|n| {
            let tenths = 10 * start_ms + n;
            format!("{}.{}", tenths / 10, tenths % 10).parse().unwrap()
        });
        let inputs = format!("network.inputs=[(start_ms: {start_ms})]");
        let circuit = with(times.collect(), "ms");
        let (_, spikes, said) = built(&circuit, &[&settings[..], &[&inputs]].concat());
        assert!(spikes == expected, "start_ms {start_ms}: {said:?}");
    }
    let seconds: Vec<f64> = (1..=N_STEPS).map(|n| format!("0.{n:04}").parse().unwrap()).collect();
    let (_, spikes, said) = built(&with(seconds, "s"), &settings);
    assert!(spikes == expected, "seconds: {said:?}");
    // Times between steps move to the later one as before.
    let between = with(vec![1000.14, 1000.2001, 1000.35], "ms");
    let (_, spikes, _) = built(&between, &[&settings[..], &["network.inputs=[(start_ms: 1000)]"]].concat());
    assert_eq!(spikes, [(1, 1), (2, 1), (3, 1)]);
}
