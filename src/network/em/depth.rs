//! Whether the layers of an EM volume lie along its y axis, which is taken for depth: by the names of the types, since no table says it.

use crate::network::CELL_TYPES;

/// Fewer cells than these do not show where their layers lie.
const FEWEST_CELLS: usize = 30;
/// Correlation of layer and place from which layers lie along an axis.
const ALONG: f64 = 0.5;

/// What is odd about the axes, in words: that layers, from the first to the sixth, lie along another direction than y. `cells`: type, and
/// place along x, y and z.
pub(super) fn odd_axis(cells: impl Iterator<Item = (usize, [f64; 3])> + Clone) -> Option<String> {
    if cells.clone().count() < FEWEST_CELLS {
        return None;
    }
    let along = |axis: usize| correlation(cells.clone().map(|(kind, at)| (layer(kind), at[axis])));
    let all = [along(0), along(1), along(2)];
    let (strongest, r) =
        (0..3).map(|axis| (axis, all[axis])).max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))?;
    if r.abs() < ALONG || all[1] >= ALONG {
        return None;
    }
    let sign = if r < 0.0 { "-" } else { "" };
    Some(format!(
        "layers lie along {sign}{} (correlation {r:.2}), not along y ({:.2}), which is taken for depth; name as y \
         what grows from the pia down",
        ["x", "y", "z"][strongest],
        all[1]
    ))
}

/// Layer of a cell type: 1 to 6.
fn layer(cell_type_ix: usize) -> f64 {
    let digit = CELL_TYPES[cell_type_ix].chars().find_map(|c| c.to_digit(10));
    digit.map_or(f64::NAN, f64::from)
}

/// Pearson's correlation; 0 where one of both does not vary.
fn correlation(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let n = pairs.clone().count() as f64;
    let mean = pairs.clone().fold([0.0; 2], |m, (a, b)| [m[0] + a / n, m[1] + b / n]);
    let [mut ab, mut aa, mut bb] = [0.0; 3];
    for (a, b) in pairs {
        let (a, b) = (a - mean[0], b - mean[1]);
        (ab, aa, bb) = (ab + a * b, aa + a * a, bb + b * b);
    }
    if aa > 0.0 && bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_that_do_not_lie_along_y_are_told() {
        let place = |k: usize| ((k * 7919) % 1000) as f64;
        let cells = |n: usize, at: fn(f64, [f64; 2]) -> [f64; 3]| -> Vec<(usize, [f64; 3])> {
            (0..n)
                .map(|k| {
                    let kind = k % CELL_TYPES.len();
                    (kind, at(1e5 * layer(kind) + 100.0 * place(k), [place(k + 1), place(k + 2)]))
                })
                .collect()
        };
        let told = |cells: Vec<(usize, [f64; 3])>| odd_axis(cells.iter().copied());
        assert_eq!(told(cells(400, |depth, [a, b]| [a, depth, b])), None);
        let upside_down = told(cells(400, |depth, [a, b]| [a, -depth, b])).unwrap();
        assert!(upside_down.contains("along -y (correlation -0."), "{upside_down}");
        let on_its_side = told(cells(400, |depth, [a, b]| [a, b, depth])).unwrap();
        assert!(on_its_side.contains("along z (correlation 0."), "{on_its_side}");
        // Places that have nothing to do with layers, few cells, and cells of one layer.
        assert_eq!(told(cells(400, |_, [a, b]| [a, b, a - b])), None);
        assert_eq!(told(cells(FEWEST_CELLS - 1, |depth, [a, b]| [a, -depth, b])), None);
        assert_eq!(told((0..400).map(|k| (0, [place(k); 3])).collect()), None);
    }
}
