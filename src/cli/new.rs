//! `simrun new NAME`: a scene to start from, one of those within the program.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use simrun::network::tables::Tables;
use simrun::{Error, Result, shipped};

use super::print;

/// Every field of a scene.
const FIELDS: &str = include_str!("../../docs/scenes.md");

#[derive(clap::Args)]
#[command(after_help = "Examples:
  simrun new                               lists the templates
  simrun new mine                          writes mine.ron: a column of mouse V1, a comment beside every field
  simrun new big --template v1_67k         the whole model, trained jointly
  simrun check mine.ron && simrun mine.ron
  simrun new --fields | less               every field of a scene with unit, range and default")]
pub(super) struct NewArguments {
    /// Name of the scene; .ron is added. Without it the templates are listed
    name: Option<PathBuf>,
    /// What to start from
    #[arg(long, value_name = "TEMPLATE", default_value = "column")]
    template: String,
    /// Folder of tables that the scene names in place of those within simrun
    #[arg(long, value_name = "DIR")]
    tables: Option<PathBuf>,
    /// Prints the reference of scenes
    #[arg(long, conflicts_with_all = ["name", "tables"])]
    fields: bool,
}

/// Writes a scene; refuses a file that exists.
pub(super) fn new(arguments: &NewArguments) -> Result<()> {
    if arguments.fields {
        return print(FIELDS);
    }
    let Some(name) = &arguments.name else { return print(&templates()) };
    let file = match name.extension() {
        Some(extension) if extension == "ron" => name.clone(),
        _ => {
            let mut name = name.clone().into_os_string();
            name.push(".ron");
            PathBuf::from(name)
        }
    };
    let mut text = template(&arguments.template)?.to_owned();
    if let Some(tables) = &arguments.tables {
        text = with_tables(&text, tables)?;
    }
    let mut out = fs::File::create_new(&file).map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => {
            Error::field("command line", "NAME", file.display(), "exists; name another scene")
        }
        _ => Error::io(&file)(e),
    })?;
    out.write_all(text.as_bytes()).map_err(Error::io(&file))?;
    print(&format!("{0}: simrun check {0}; simrun new --fields describes every field\n", file.display()))
}

/// The text of a template.
fn template(name: &str) -> Result<&'static str> {
    let scenes = shipped::scenes();
    let found = scenes.iter().find(|(own, _)| *own == name.trim_end_matches(".ron"));
    found.map(|(_, text)| *text).ok_or_else(|| {
        let names: Vec<&str> = scenes.iter().map(|(name, _)| *name).collect();
        Error::field("command line", "--template", name, format!("must be one of {}", names.join(", ")))
    })
}

/// The templates, each with the first line of its comment.
fn templates() -> String {
    let line = |(name, text): (&str, &str)| {
        let said = text.lines().next().unwrap_or_default().trim_start_matches("//").trim();
        format!("{name:<16} {said}\n")
    };
    shipped::scenes().into_iter().map(line).collect()
}

/// The text with a folder of tables of the user's own, named in full: the scene may lie anywhere.
fn with_tables(text: &str, dir: &Path) -> Result<String> {
    Tables::read(dir)?;
    let dir = fs::canonicalize(dir).map_err(Error::io(dir))?;
    let refuse = |limit: &str| Err(Error::field("command line", "--tables", dir.display(), limit));
    let Some(name) = dir.to_str() else { return refuse("must be UTF-8 text") };
    let field = format!("tables: {name:?},");
    let own = "tables: \"v1\",";
    if text.contains(own) {
        return Ok(text.replacen(own, &field, 1));
    }
    match text.split_once("\n(\n    seed:") {
        Some((head, rest)) => Ok(format!("{head}\n(\n    {field}\n    seed:{rest}")),
        None => refuse(
            "this template is an experiment: write the scene that is its base first, with its own tables",
        ),
    }
}

#[cfg(test)]
mod tests {
    use simrun::experiment::Experiment;
    use simrun::plan::Plan;

    use super::*;

    #[test]
    fn every_template_is_a_scene_or_an_experiment_wherever_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.ron");
        let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/v1");
        for (name, text) in shipped::scenes() {
            fs::write(&file, text).unwrap();
            if Experiment::is_one(&file) {
                Experiment::read(&file, &[]).unwrap();
                assert!(with_tables(text, &tables).unwrap_err().to_string().contains("experiment"), "{name}");
                continue;
            }
            // The circuit of the template for circuits is the user's.
            if name != "sonata" {
                assert_eq!(Plan::read(&file, &[]).unwrap().tables_dir, shipped::tables(), "{name}");
                fs::write(&file, with_tables(text, &tables).unwrap()).unwrap();
                assert!(Plan::read(&file, &[]).unwrap().tables_dir.is_absolute(), "{name}");
            }
            assert!(templates().contains(name));
        }
    }
}
