//! What is printed.

/// One line: what was measured, beside what hand-made SQL does, and what it should be.
pub struct Figure {
    name: String,
    measured: String,
    raw: String,
    ratio: String,
    target: String,
    met: Option<bool>,
}

#[derive(Default)]
pub struct Report {
    figures: Vec<Figure>,
    notes: Vec<String>,
}

impl Figure {
    pub fn new(name: impl Into<String>, measured: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            measured: measured.into(),
            raw: String::new(),
            ratio: String::new(),
            target: String::new(),
            met: None,
        }
    }

    /// Beside the same done by hand.
    pub fn beside(mut self, raw: impl Into<String>, ratio: f64) -> Self {
        self.raw = raw.into();
        self.ratio = format!("{ratio:.2}");
        self
    }

    pub fn target(mut self, target: impl Into<String>, met: bool) -> Self {
        self.target = target.into();
        self.met = Some(met);
        self
    }
}

impl Report {
    /// Shows the line at once, as a run takes minutes, and keeps it for the table.
    pub fn add(&mut self, figure: Figure) {
        eprintln!("  {}: {} | raw {} | {}", figure.name, figure.measured, figure.raw, figure.ratio);
        self.figures.push(figure);
    }

    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        eprintln!("  {note}");
        self.notes.push(note);
    }

    pub fn print(&self) {
        let head = ["figure", "measured", "raw", "ratio", "target", "met?"].map(str::to_owned);
        let mut rows = vec![head];
        rows.extend(self.figures.iter().map(|f| {
            let met = match f.met {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "",
            };
            [&f.name, &f.measured, &f.raw, &f.ratio, &f.target, met].map(str::to_owned)
        }));
        let width = |column: usize| {
            let lengths = rows.iter().map(|row| row[column].chars().count());
            lengths.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..6).map(width).collect();
        println!();
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| {
                let width = *width;
                format!("{cell:width$}")
            });
            println!("{}", cells.collect::<Vec<_>>().join(" | ").trim_end());
        }
        println!();
        for note in &self.notes {
            println!("{note}");
        }
    }
}

/// 12,345
pub fn count(n: f64) -> String {
    let digits = format!("{:.0}", n.abs());
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The median and the 99th percentile of a load.
pub fn spread(load: &mut super::load::Load) -> String {
    format!("p50 {:.1} p99 {:.1} ms", load.percentile(0.5), load.percentile(0.99))
}
