//! What a run has taken over from the run that it started from: `start.json`.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// What a network has in common with that of the run that it starts from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// Folder of that run.
    pub run: String,
    /// Its training steps.
    pub training_step: u32,
    /// SHA-256 of its checkpoint, hexadecimal.
    pub checkpoint_sha256: String,
    /// Cells.
    pub cells: CarriedEdges,
    /// Why no cell is the same, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_no_cell: Option<String>,
    /// Edges between neurons.
    pub edges_between_neurons: CarriedEdges,
    /// Edges of LGN units.
    pub edges_of_lgn: CarriedEdges,
    /// Edges of background units.
    pub edges_of_background: CarriedEdges,
}

/// Counts of cells or edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedEdges {
    /// In both networks.
    pub matched: u64,
    /// Of these, edges whose EM size is another now.
    pub resized: u64,
    /// In the new network alone.
    pub fresh: u64,
    /// In the network before alone.
    pub dropped: u64,
}

impl Carried {
    /// The counts in words, a line each.
    pub fn text(&self) -> String {
        let digest = self.checkpoint_sha256.get(..12).unwrap_or_default();
        let mut text = format!(
            "starts from {} after training step {} (sha256 {digest}..)\n",
            self.run, self.training_step
        );
        let rows = [
            ("cells", self.cells),
            ("edges between neurons", self.edges_between_neurons),
            ("edges of LGN units", self.edges_of_lgn),
            ("edges of background units", self.edges_of_background),
        ];
        for (what, CarriedEdges { matched, resized, fresh, dropped }) in rows {
            let resized = if resized > 0 { format!(" ({resized} resized)") } else { String::new() };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {what}: {matched} matched{resized}, {fresh} new, {dropped} dropped");
        }
        if let Some(why) = &self.why_no_cell {
            let _ = writeln!(
                text,
                "  no cell is the same: {why}; all weights are drawn from the laws of the trained pair types"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_in_lines() {
        let edges = CarriedEdges { matched: 90, resized: 3, fresh: 2, dropped: 1 };
        let carried = Carried {
            run: "runs/a".into(),
            training_step: 7,
            checkpoint_sha256: "0123456789abcdef".into(),
            edges_between_neurons: edges,
            why_no_cell: Some("seed 2 drew other cells than 1".into()),
            ..Carried::default()
        };
        let text = carried.text();
        assert!(
            text.starts_with("starts from runs/a after training step 7 (sha256 0123456789ab..)\n"),
            "{text}"
        );
        assert!(
            text.contains("  edges between neurons: 90 matched (3 resized), 2 new, 1 dropped\n"),
            "{text}"
        );
        assert!(text.contains("no cell is the same: seed 2 drew"), "{text}");
    }
}
