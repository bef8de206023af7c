//! A learning curve drawn in characters.

use engraft::progress::CurvePoint;

/// Narrower or lower than this there is no room for a chart.
const MIN_WIDTH: usize = 30;
const MIN_HEIGHT: usize = 5;
/// Lines that are not the plot: legend, axis, its labels.
const AROUND: usize = 3;

const TRAINING: &str = "\x1b[36m";
const HELD_OUT: &str = "\x1b[33m";
const FAINT: &str = "\x1b[2m";
const OFF: &str = "\x1b[0m";

/// Bits of a Braille cell, four dots high and two wide, by column and row (Unicode 15, section 21.1).
const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// Losses over epochs as `height` lines of at most `width` characters: a legend, the plot, and an axis of epochs.
///
/// The training loss is a line of Braille dots, the loss on what is held out a `×` at each epoch at which it was
/// measured, so that they are told apart without `colour`. Numbers that are not finite are left out. Empty where there
/// is nothing to draw, or no room.
pub fn render(points: &[CurvePoint], width: usize, height: usize, colour: bool) -> Vec<String> {
    let finite = |of: fn(&CurvePoint) -> Option<f64>| -> Vec<(f64, f64)> {
        let pairs = points.iter().filter_map(|point| Some((point.epoch, of(point)?)));
        pairs.filter(|(epoch, loss)| epoch.is_finite() && loss.is_finite()).collect()
    };
    let (train, held_out) = (finite(|point| Some(point.train_loss)), finite(|point| point.validation_loss));
    let all = || train.iter().chain(&held_out);
    if all().next().is_none() || width < MIN_WIDTH || height < MIN_HEIGHT {
        return Vec::new();
    }
    let epochs = range(all().map(|at| at.0));
    let losses = range(all().map(|at| at.1));
    let rows = height - AROUND;
    let labels = axis_labels(rows, losses);
    let margin = labels.iter().map(String::len).max().unwrap_or(0);
    let mut plot = Plot::new(width - margin - 2, rows, epochs, losses);
    plot.line(&train);
    plot.marks(&held_out);

    let paint = Paint { colour };
    let mut lines = vec![legend(&train, &held_out, width, paint)];
    for (row, label) in labels.iter().enumerate() {
        let tick = if label.is_empty() { '│' } else { '┤' };
        let axis = paint.with(FAINT, &format!("{label:>margin$} {tick}"));
        lines.push(format!("{axis}{}", plot.row(row, paint)).trim_end().to_owned());
    }
    lines.push(paint.with(FAINT, &format!("{:margin$} └{}", "", "─".repeat(plot.columns))));
    let (first, last) = (number(epochs.0), format!("epoch {}", number(epochs.1)));
    // One epoch needs one label.
    let first = if epochs.0 == epochs.1 { String::new() } else { first };
    let room = (plot.columns + 1).saturating_sub(first.len());
    lines.push(paint.with(FAINT, &format!("{:margin$} {first}{last:>room$}", "")));
    lines
}

/// What is drawn how, and where it stands; as much of it as there is room for.
fn legend(train: &[(f64, f64)], held_out: &[(f64, f64)], width: usize, paint: Paint) -> String {
    let mut parts = Vec::new();
    if let Some(last) = train.last() {
        parts.push(("⠤⠤", TRAINING, format!("training {}", number(last.1))));
    }
    if let Some(last) = held_out.last() {
        parts.push(("×", HELD_OUT, format!("held out {}", number(last.1))));
    }
    if let Some(best) = held_out.iter().copied().reduce(|best, at| if at.1 < best.1 { at } else { best }) {
        parts.push(("", "", format!("(lowest {} in epoch {})", number(best.1), number(best.0))));
    }
    let mut line = "loss".to_owned();
    let mut length = line.len();
    for (mark, code, words) in parts {
        let between = if mark.is_empty() { " " } else { "   " };
        let mark = if mark.is_empty() { String::new() } else { paint.with(code, mark) + " " };
        length += between.len() + 3 + words.chars().count();
        if length > width {
            break;
        }
        line.push_str(&format!("{between}{mark}{words}"));
    }
    line
}

/// Labels of the rows: the highest loss, the lowest, and the middle where there is room.
fn axis_labels(rows: usize, (low, high): (f64, f64)) -> Vec<String> {
    let mut labels = vec![String::new(); rows];
    labels[0] = number(high);
    labels[rows - 1] = number(low);
    if rows >= 7 && high > low {
        let middle = rows / 2;
        let share = middle as f64 / (rows - 1) as f64;
        labels[middle] = number(high - share * (high - low));
    }
    labels
}

/// A number with three digits, whole ones without a fraction.
fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if value.fract() == 0.0 && size < 1e6 => format!("{value:.0}"),
        _ if !(1e-3..1e5).contains(&size) => format!("{value:.1e}"),
        _ if size < 1.0 => format!("{value:.3}"),
        _ if size < 10.0 => format!("{value:.2}"),
        _ if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn range(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
}

#[derive(Clone, Copy)]
struct Paint {
    colour: bool,
}

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.colour && !code.is_empty() { format!("{code}{text}{OFF}") } else { text.to_owned() }
    }
}

/// Cells of characters, each of two by four dots.
struct Plot {
    columns: usize,
    rows: usize,
    epochs: (f64, f64),
    losses: (f64, f64),
    dots: Vec<u8>,
    marked: Vec<bool>,
}

impl Plot {
    fn new(columns: usize, rows: usize, epochs: (f64, f64), losses: (f64, f64)) -> Self {
        let cells = columns * rows;
        Self { columns, rows, epochs, losses, dots: vec![0; cells], marked: vec![false; cells] }
    }

    /// The dot of a point, from the left and from the top.
    fn place(&self, (epoch, loss): (f64, f64)) -> (usize, usize) {
        let share = |value: f64, (low, high): (f64, f64)| {
            // Halves, since the distance of two finite numbers may be none.
            let width = high / 2.0 - low / 2.0;
            if width > 0.0 { ((value / 2.0 - low / 2.0) / width).clamp(0.0, 1.0) } else { 0.5 }
        };
        let at = |share: f64, dots: usize| (share * (dots - 1) as f64).round() as usize;
        (at(share(epoch, self.epochs), 2 * self.columns), at(1.0 - share(loss, self.losses), 4 * self.rows))
    }

    fn line(&mut self, points: &[(f64, f64)]) {
        let places: Vec<(usize, usize)> = points.iter().map(|&point| self.place(point)).collect();
        for &(x, y) in &places {
            self.dot(x, y);
        }
        for pair in places.windows(2) {
            let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
            let steps = x0.abs_diff(x1).max(y0.abs_diff(y1));
            for step in 1..steps {
                let share = step as f64 / steps as f64;
                let between = |from: usize, to: usize| (from as f64 + share * (to as f64 - from as f64)).round();
                self.dot(between(x0, x1) as usize, between(y0, y1) as usize);
            }
        }
    }

    fn dot(&mut self, x: usize, y: usize) {
        self.dots[(y / 4) * self.columns + x / 2] |= DOTS[x % 2][y % 4];
    }

    fn marks(&mut self, points: &[(f64, f64)]) {
        for &point in points {
            let (x, y) = self.place(point);
            self.marked[(y / 4) * self.columns + x / 2] = true;
        }
    }

    fn row(&self, row: usize, paint: Paint) -> String {
        let cells = (row * self.columns..(row + 1) * self.columns).map(|cell| self.cell(cell)).collect::<Vec<_>>();
        // Neighbours of one colour are painted in one go.
        let runs = cells.chunk_by(|a, b| a.0 == b.0);
        runs.map(|run| paint.with(run[0].0, &run.iter().map(|cell| cell.1).collect::<String>())).collect()
    }

    /// A cell's colour and character.
    fn cell(&self, cell: usize) -> (&'static str, char) {
        match (self.marked[cell], self.dots[cell]) {
            (true, _) => (HELD_OUT, '×'),
            (false, 0) => ("", ' '),
            (false, dots) => (TRAINING, char::from_u32(0x2800 + u32::from(dots)).unwrap_or('·')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(epochs: usize) -> Vec<CurvePoint> {
        let point = |epoch: usize| {
            let e = epoch as f64;
            CurvePoint {
                epoch: e,
                train_loss: 2.2 * (-e / 5.0).exp() + 0.05,
                validation_loss: Some(1.6 * (-e / 3.5).exp() + 0.35 + 0.01 * e),
                train_accuracy: 0.5,
                validation_accuracy: Some(0.5),
            }
        };
        (1..=epochs).map(point).collect()
    }

    #[test]
    fn a_chart_as_it_looks() {
        let lines = render(&points(20), 60, 12, false);
        assert_eq!(lines.join("\n"), SNAPSHOT.trim_matches('\n'));
    }
    const SNAPSHOT: &str = "
loss   ⠤⠤ training 0.090   × held out 0.555
 1.85 ┤⠑⢄
      │× ⠑⢄
      │   ×⠱⡀
      │     ⠈⠒⢄⡀
0.971 ┤     ×  ×⠢⢄
      │           ×⠢⢄×
      │               ⠉×⠢⠤×⡀ ×  × ×  ×  ×  × ×  ×  ×  × ×  ×
      │                    ⠈⠑⠒⠢⠤⠤⢄⣀⣀
0.090 ┤                             ⠉⠉⠉⠒⠒⠒⠒⠒⠢⠤⠤⠤⠤⠤⠤⠤⢄⣀⣀⣀⣀⣀⣀⣀
      └─────────────────────────────────────────────────────
      1                                             epoch 20
";

    #[test]
    fn it_fits_the_room_it_is_given() {
        for (width, height) in [(30, 5), (41, 8), (80, 13), (200, 40)] {
            for epochs in [1, 2, 3, 50, 1000] {
                for colour in [false, true] {
                    let lines = render(&points(epochs), width, height, colour);
                    assert_eq!(lines.len(), height);
                    for line in &lines {
                        assert!(visible(line) <= width, "{width}: {line}");
                        assert_eq!(line.contains('\x1b'), colour && line.contains(OFF), "{line}");
                    }
                    assert!(lines.iter().any(|line| line.contains('×')), "{lines:?}");
                }
            }
        }
        assert!(render(&points(5), 29, 12, false).is_empty());
        assert!(render(&points(5), 80, 4, false).is_empty());
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let plain = render(&points(20), 60, 12, false);
        let painted: Vec<String> = render(&points(20), 60, 12, true).iter().map(|line| stripped(line)).collect();
        let painted: Vec<&str> = painted.iter().map(|line| line.trim_end()).collect();
        assert_eq!(plain, painted);
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        assert!(render(&[], 80, 12, false).is_empty());
        let nan = CurvePoint { train_loss: f64::NAN, validation_loss: None, ..points(1)[0] };
        assert!(render(&[nan], 80, 12, false).is_empty());
        let mut wild = points(6);
        wild[2].train_loss = f64::INFINITY;
        wild[3].validation_loss = Some(f64::NAN);
        wild[4].epoch = f64::NAN;
        wild[5].train_loss = f64::MAX;
        wild[1].train_loss = f64::MIN;
        assert_eq!(render(&wild, 80, 12, false).len(), 12);
        let unwatched: Vec<CurvePoint> =
            points(6).into_iter().map(|point| CurvePoint { validation_loss: None, ..point }).collect();
        let lines = render(&unwatched, 80, 12, false);
        assert!(!lines.join("").contains('×') && lines[0].starts_with("loss   ⠤⠤ training"), "{lines:?}");
    }

    fn stripped(line: &str) -> String {
        let mut parts = line.split('\x1b');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
    }

    fn visible(line: &str) -> usize {
        stripped(line).chars().count()
    }
}
