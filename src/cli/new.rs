//! `simrun new NAME`: a commented scene to start from.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use simrun::network::tables::Tables;
use simrun::{Error, Result};

use super::print;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  simrun new my_column                    writes my_column.ron: a column of mouse V1, trained on recorded rates
  simrun new my_cells --template cells    cells without synapses: runs within seconds
  simrun check my_column.ron && simrun my_column.ron")]
pub(super) struct NewArguments {
    /// Name of the scene; .ron is added
    name: PathBuf,
    /// What to start from
    #[arg(long, value_enum, default_value_t = Template::Column)]
    template: Template,
    /// Folder of the tables
    #[arg(long, value_name = "DIR", default_value = "scenes/v1")]
    tables: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Template {
    /// A small column of mouse V1 with thalamic and background input, trained on recorded rates
    Column,
    /// One neuron of each cell model, no synapses, trained on recorded rates
    Cells,
}

/// Stands in the templates for the folder of the tables.
const TABLES: &str = "TABLES_FOLDER";
/// Stands for the calibration of the column's network, beside the tables of the project.
const CALIBRATION: &str = "CALIBRATION";
const CALIBRATION_FILE: &str = "../calibration/v1_4k.csv";

impl Template {
    const fn text(self) -> &'static str {
        match self {
            Self::Column => include_str!("new/column.ron"),
            Self::Cells => include_str!("new/cells.ron"),
        }
    }
}

/// Writes a scene; refuses a file that exists.
pub(super) fn new(arguments: &NewArguments) -> Result<()> {
    let file = match arguments.name.extension() {
        Some(extension) if extension == "ron" => arguments.name.clone(),
        _ => {
            let mut name = arguments.name.clone().into_os_string();
            name.push(".ron");
            PathBuf::from(name)
        }
    };
    let tables = tables(&arguments.tables)?;
    let calibration = match fs::canonicalize(arguments.tables.join(CALIBRATION_FILE)) {
        Ok(file) => format!("\"{}\"", quoted(&file)?),
        // Tables of the user's own come without.
        Err(_) => "None".to_owned(),
    };
    let text = arguments.template.text().replace(TABLES, &tables).replace(CALIBRATION, &calibration);
    let mut out = fs::File::create_new(&file).map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => {
            Error::field("command line", "NAME", file.display(), "exists; name another scene")
        }
        _ => Error::io(&file)(e),
    })?;
    out.write_all(text.as_bytes()).map_err(Error::io(&file))?;
    print(&format!("{}: its fields are described in docs/scenes.md; simrun check {0}\n", file.display()))
}

/// The folder of the tables in full, as RON writes it: the scene may lie anywhere.
fn tables(dir: &Path) -> Result<String> {
    Tables::read(dir)?;
    quoted(&fs::canonicalize(dir).map_err(Error::io(dir))?)
}

fn quoted(path: &Path) -> Result<String> {
    let Some(name) = path.to_str() else {
        return Err(Error::field("command line", "--tables", path.display(), "must be UTF-8 text"));
    };
    Ok(name.replace('\\', "\\\\").replace('"', "\\\""))
}
