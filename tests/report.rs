//! The report of a run and the comparison of two, opened in headless Chromium: they render without an error and without a request,
//! every chart shows data, tables sort, nothing is wider than a phone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::program::{short_run, simrun, succeeded};
use serde_json::Value;

/// A run of V1 within 40 um, with every term that has a figure.
fn small_run(run: &Path, more: &[&str]) {
    let settings = [
        "network.radius_um=40",
        "network.core_radius_um=40",
        "time.duration_ms=100",
        "trials.start=Rest",
        "trials.n_evoked=2",
        "trials.n_spontaneous=2",
        "trials.grating.onset_ms=30",
        "losses.electrophysiology=(weight: 1.0)",
        "learn.pair_scale=true",
        "optimiser.training_steps=2",
        "optimiser.warmup_steps=0",
        "evaluate.every_steps=0",
        "evaluate.n_trials=1",
    ];
    let settings: Vec<&str> = settings.iter().chain(more).flat_map(|s| ["--set", s]).collect();
    succeeded(
        &[&["tests/scenes/v1_4k.ron", "--quiet", "--out", run.to_str().unwrap()], &settings[..]].concat(),
    );
}

/// The browser. Without one this test fails: a report that was never opened is not known to be good.
fn browser() -> PathBuf {
    let named = std::env::var_os("SIMRUN_BROWSER").map(PathBuf::from);
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome.exe"];
    let on_path = std::env::split_paths(&folders).flat_map(|folder| names.map(|name| folder.join(name)));
    let on_macos = PathBuf::from("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome");
    let found = named.into_iter().chain(on_path).chain([on_macos]).find(|file| file.exists());
    found
        .expect("Chromium is not installed (tools/prepare --tests installs it; SIMRUN_BROWSER names another)")
}

/// What stands before everything else on a page under test.
const WATCH: &str = "<script>
window.faults = [];
addEventListener('error', (e) => faults.push('error: ' + e.message), true);
addEventListener('unhandledrejection', (e) => faults.push('rejection: ' + e.reason));
addEventListener('securitypolicyviolation', (e) => faults.push('blocked: ' + e.blockedURI));
</script>";

/// What stands after it: measures the page and leaves the figures in an element.
const MEASURE: &str = r#"<script>
addEventListener('load', () => {
  const overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  for (const details of document.querySelectorAll('details')) details.open = true;
  const isData = (c) => c && /^#(?!000000|FFFFFF)/i.test(c);
  const charts = [...document.querySelectorAll('figure .panel svg')].map((svg) => {
    const marks = [...svg.querySelectorAll('rect, circle, polyline, polygon, path, line')].filter((mark) => {
      const box = mark.getBBox();
      const coloured = isData(mark.getAttribute('fill')) || isData(mark.getAttribute('stroke'));
      return coloured && box.width + box.height > 0;
    });
    const box = svg.getBoundingClientRect();
    const text = svg.querySelector('text');
    return {
      figure: svg.closest('figure').id, title: svg.parentNode.getAttribute('aria-label'),
      marks: marks.length, texts: svg.querySelectorAll('text').length, width: box.width, height: box.height,
      ink: text && getComputedStyle(text).fill,
    };
  });
  const empty = [...document.querySelectorAll('figure')].filter((f) => !f.querySelector('.panel svg')).map((f) => f.id);
  const unsorted = [];
  let columns = 0;
  for (const heading of document.querySelectorAll('th.num')) {
    const ix = [...heading.parentNode.children].indexOf(heading);
    const values = () => [...heading.closest('table').tBodies[0].rows].map((r) => r.children[ix].dataset.v).filter((v) => v !== '').map(Number);
    const before = values().sort((a, b) => a - b);
    for (const order of [before.toReversed(), before]) {
      heading.querySelector('button').click();
      if (values().join() !== order.join()) unsorted.push(heading.dataset.name);
    }
    columns += 1;
  }
  const style = getComputedStyle(document.body);
  const shown = [...document.querySelectorAll('td:not(.long), dd, p, .tile, figcaption, svg text')];
  const odd = shown.map((e) => e.textContent).filter((text) => /NaN|undefined|\[object|\binf\b/.test(text));
  const found = {
    faults, charts, empty, unsorted, odd, columns, overflow, captions: document.querySelectorAll('figcaption').length,
    requests: performance.getEntriesByType('resource').filter((r) => !r.name.startsWith('data:')).map((r) => r.name),
    width: innerWidth, ink: style.color, paper: style.backgroundColor, text: document.body.innerText,
  };
  const out = document.createElement('pre');
  out.id = 'measured';
  out.textContent = JSON.stringify(found);
  document.body.append(out);
});
</script>"#;

/// Opens a page in a window of so many px, light or dark; what [`MEASURE`] found.
fn measured(page: &Path, width: u32, dark: bool) -> Value {
    let temporary = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(page).unwrap();
    assert!(text.contains("<head>") && text.contains("</body>"));
    let text = text.replacen("<head>", &format!("<head>{WATCH}"), 1);
    let text = text.replacen("</body>", &format!("{MEASURE}</body>"), 1);
    let copy = temporary.path().join("page.html");
    fs::write(&copy, text).unwrap();
    let profile = temporary.path().join("profile");
    let output = Command::new(browser())
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--window-size={width},1000"))
        .arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)))
        .arg(format!("file://{}", copy.display()))
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let console: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(console.is_empty(), "the console says: {console:?}");
    let dom = String::from_utf8_lossy(&output.stdout);
    let json = dom.split_once("<pre id=\"measured\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let json = json.unwrap_or_else(|| panic!("the page was not measured:\n{log}")).0;
    let json = json.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}: {json}"))
}

/// Asserts what holds of every page; the figures that it has.
fn assert_good(found: &Value) -> Vec<String> {
    for none in ["faults", "empty", "unsorted", "odd", "requests"] {
        assert_eq!(found[none], Value::Array(Vec::new()), "{none}");
    }
    assert!(found["overflow"].as_i64().unwrap() <= 0, "wider than the window by {} px", found["overflow"]);
    let charts = found["charts"].as_array().unwrap();
    for chart in charts {
        let number = |key: &str| chart[key].as_f64().unwrap();
        assert!(number("marks") >= 1.0, "no data in {chart}");
        assert!(number("texts") >= 4.0, "no axes in {chart}");
        assert!(number("width") > 150.0 && number("height") > 60.0, "too small: {chart}");
        assert!(chart["title"].as_str().is_some_and(|t| !t.is_empty()), "without a title: {chart}");
    }
    let mut figures: Vec<String> = charts.iter().map(|c| c["figure"].as_str().unwrap().to_owned()).collect();
    figures.dedup();
    assert!(found["captions"].as_u64().unwrap() >= figures.len() as u64, "a figure has no caption");
    figures
}

#[test]
fn what_is_no_run_has_no_report() {
    let temporary = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str], words: &[&str]| {
        let output = simrun(arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    };
    let dir = temporary.path().to_str().unwrap();
    refused(&["report", dir], &["scene.ron"]);
    fs::copy(common::root().join("scenes/smoke.ron"), temporary.path().join("scene.ron")).unwrap();
    refused(&["report", dir, "--out", "x.html"], &["--out", "report.html"]);
    fs::write(temporary.path().join("metrics.jsonl"), "{\"step\": 1}\n{\"step\": \"two\"}\n{\"step\": 3}\n")
        .unwrap();
    succeeded(&["report", dir]);
    let page = fs::read_to_string(temporary.path().join("report.html")).unwrap();
    assert!(page.contains("lines 2 of metrics.jsonl do not read; steps 2 have no metrics"));
    fs::write(temporary.path().join("metrics.jsonl"), "{\"step\": 1}\n{\"st").unwrap();
    fs::write(temporary.path().join("summary.json"), "{}").unwrap();
    refused(&["report", dir], &["summary.json", "training_step"]);
    fs::remove_file(temporary.path().join("summary.json")).unwrap();
    fs::write(temporary.path().join("trials.csv"), "trial,condition,start_ms\n0,grey,x\n").unwrap();
    // Of a run that was killed before the spikes of those trials were written.
    succeeded(&["report", dir]);
    fs::write(temporary.path().join("spikes.h5"), "no HDF5").unwrap();
    refused(&["report", dir], &["trials.csv", "line: 2"]);
    ["trials.csv", "spikes.h5"].iter().for_each(|name| fs::remove_file(temporary.path().join(name)).unwrap());
    // A run that has only begun has a report all the same.
    succeeded(&["report", dir]);
}

/// The text between the tags of a page.
fn words_of(page: &str) -> String {
    let parts = page.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text).trim());
    parts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("|")
}

/// Runs beside each other's recordings, and evaluations beside evaluations of other lengths.
#[test]
fn a_comparison_says_which_files_and_evaluations_differ() {
    let temporary = tempfile::tempdir().unwrap();
    let path = |name: &str| temporary.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("tables")).unwrap();
    for file in fs::read_dir(common::root().join("scenes/v1")).unwrap().map(|entry| entry.unwrap()) {
        fs::copy(file.path(), Path::new(&path("tables")).join(file.file_name())).unwrap();
    }
    let run = |name: &str, more: &[&str]| {
        succeeded(&short_run(&[&["--steps", "1", "--out", &path(name)], more].concat()));
    };
    let compared = |runs: [&str; 2]| {
        succeeded(&["report", &path(runs[0]), &path(runs[1]), "--out", &path("page.html")]);
        let page = words_of(&fs::read_to_string(path("page.html")).unwrap());
        fs::remove_file(path("page.html")).unwrap();
        page
    };
    run("a", &[]);
    run("b", &["--tables", &path("tables")]);
    let same = compared(["a", "b"]);
    assert!(same.contains("The scenes are the same.") && !same.contains("Files that differ."), "{same}");
    assert!(
        same.contains("shown|directions: 1, trials of each and of the grey screen: 1|directions: 1,"),
        "{same}"
    );
    assert!(same.contains("|recorded|") && same.contains("|ceiling|"), "{same}");

    // Three times the rate of L4_Exc.
    let file = format!("{}/neuropixels_targets.csv", path("tables"));
    let faster = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        if !line.starts_with("L4_Exc,evoked_rate_hz,heldout") {
            return line.to_owned();
        }
        let value = |cell: &str| (3.0 * cell.parse::<f64>().unwrap()).to_string();
        let cells = cells.iter().enumerate().map(|(ix, c)| if ix < 7 { (*c).to_owned() } else { value(c) });
        cells.collect::<Vec<_>>().join(",")
    };
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.lines().map(faster).collect::<Vec<_>>().join("\n")).unwrap();
    run("c", &["--tables", &path("tables")]);
    succeeded(&["evaluate", &path("c"), "--trials", "3", "--quiet"]);
    let page = compared(["a", "c"]);
    assert!(page.contains("The scenes are the same.") && page.contains("Files that differ."), "{page}");
    assert!(page.contains("|neuropixels_targets.csv|") && !page.contains("|cells.csv|"), "{page}");
    assert!(page.contains("evaluated from|summary.json|evaluation.json|"), "{page}");
    let shown = "shown|directions: 1, trials of each and of the grey screen: 1|directions: 8, trials of each and of the grey screen: 3|";
    assert!(page.contains(shown), "{page}");
    let median = |run: &str| {
        let file = if run == "c" { "evaluation.json" } else { "summary.json" };
        let json: Value =
            serde_json::from_str(&fs::read_to_string(format!("{}/{file}", path(run))).unwrap()).unwrap();
        let rows = if run == "c" { &json["held_out"]["cell_types"] } else { &json["held_out"] };
        let row = rows.as_array().unwrap().iter().find(|row| row["cell_type"] == "L4_Exc").unwrap().clone();
        ["median", "target_median"].map(|key| row["rate_evoked_hz"][key].as_f64().unwrap())
    };
    let [[own_a, recorded_a], [own_c, recorded_c]] = ["a", "c"].map(median);
    assert!((recorded_c / recorded_a - 3.0).abs() < 1e-6, "{recorded_a} {recorded_c}");
    let row = format!("|L4_Exc|{own_a:.2}|{own_c:.2}|{recorded_a:.2}|{recorded_c:.2}|");
    assert!(page.contains(&row), "{row} is not in {page}");
}

/// What takes too long for `cargo test`.
mod slow {
    use super::*;

    #[test]
    #[ignore = "slow, needs Chromium: tools/test runs it"]
    fn a_run_has_a_report_that_renders_and_two_runs_are_compared() {
        let temporary = tempfile::tempdir().unwrap();
        // Text from files is text: a name that is markup must not become markup.
        let run = temporary.path().join("<img src=x onerror=alert(1)>");
        small_run(&run, &[]);
        let page = run.join("report.html");
        let figures = assert_good(&measured(&page, 1200, false));
        for figure in [
            "losses",
            "training",
            "gradients",
            "similarity",
            "rates",
            "raster",
            "tuning",
            "psps",
            "pairs",
            "weights",
        ] {
            assert!(
                figures.iter().any(|f| f == &format!("figure-{figure}")),
                "{figure} is not in {figures:?}"
            );
        }
        let text = fs::read_to_string(&page).unwrap();
        assert!(!text.contains("<img"), "a name became markup");

        // With its evaluation, narrow and dark.
        let path = run.to_str().unwrap();
        succeeded(&["evaluate", path, "--trials", "1", "--contrasts", "0.2,0.4", "--quiet"]);
        let found = measured(&page, 500, true);
        let figures = assert_good(&found);
        for figure in
            ["contrast", "fano", "distributions_evoked", "distributions_dsi", "weight_distributions"]
        {
            assert!(
                figures.iter().any(|f| f == &format!("figure-{figure}")),
                "{figure} is not in {figures:?}"
            );
        }
        assert!(found["columns"].as_u64().unwrap() > 30, "only {} columns of numbers", found["columns"]);
        let text = found["text"].as_str().unwrap();
        for words in ["held-out sessions", "Held-out pairs", "Like to like", "MiB", "neuropixels_targets.csv"]
        {
            assert!(text.contains(words), "'{words}' is not on the page");
        }
        // Light ink on dark paper, in charts too.
        let brightness = |colour: &Value| -> u32 {
            let numbers = colour.as_str().unwrap().trim_start_matches(|c: char| !c.is_ascii_digit());
            numbers
                .split(|c: char| !c.is_ascii_digit())
                .filter(|n| !n.is_empty())
                .take(3)
                .map(|n| n.parse::<u32>().unwrap())
                .sum()
        };
        assert!(brightness(&found["paper"]) < 150 && brightness(&found["ink"]) > 600, "{}", found["paper"]);
        for chart in found["charts"].as_array().unwrap() {
            assert!(brightness(&chart["ink"]) > 600, "dark ink on dark paper: {chart}");
        }

        // The same report again is the same page.
        let before = fs::read(&page).unwrap();
        assert!(succeeded(&["report", path]).contains("report.html"));
        assert!(fs::read(&page).unwrap() == before, "the report differs when it is made again");

        let other = temporary.path().join("other");
        small_run(&other, &["optimiser.learning_rate=0.3", "losses.electrophysiology=None"]);
        let comparison = temporary.path().join("comparison.html");
        succeeded(&["report", path, other.to_str().unwrap(), "--out", comparison.to_str().unwrap()]);
        let found = measured(&comparison, 1200, false);
        let figures = assert_good(&found);
        assert!(figures.contains(&"figure-losses".to_owned()), "{figures:?}");
        let text = found["text"].as_str().unwrap();
        for words in ["optimiser.learning_rate", "losses.electrophysiology", "difference to", "0.03", "0.3"] {
            assert!(text.contains(words), "'{words}' is not on the page:\n{text}");
        }
        assert!(!text.contains("optimiser.beta1"), "a setting that is the same is among those that differ");
    }

    #[test]
    #[ignore = "slow, needs Chromium: tools/test runs it"]
    fn cells_alone_have_a_report_as_far_as_it_goes() {
        let temporary = tempfile::tempdir().unwrap();
        let run = temporary.path().join("run");
        let settings = ["--set", "time.duration_ms=100", "--steps", "1", "--quiet"];
        succeeded(&[&["scenes/smoke.ron", "--out", run.to_str().unwrap()], &settings[..]].concat());
        let found = measured(&run.join("report.html"), 1200, false);
        let figures = assert_good(&found);
        assert!(figures.contains(&"figure-raster".to_owned()), "{figures:?}");
        assert!(
            !figures.contains(&"figure-pairs".to_owned())
                && !found["text"].as_str().unwrap().contains("Synapses")
        );
    }
}
