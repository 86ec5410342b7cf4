//! A plot as SVG: a few lines over the number of validators on a logarithmic scale.

use std::fmt::Write as _;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 300.0;
/// The positions of the axes.
const LEFT: f64 = 60.0;
const RIGHT: f64 = WIDTH - 70.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = HEIGHT - 45.0;
const COLOURS: [&str; 2] = ["#1f6feb", "#d1570c"];
/// The least number of grid lines.
const STEPS: f64 = 4.0;

/// One line and its label.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    /// The number of validators and the figure.
    pub(crate) points: Vec<(usize, f64)>,
}

/// A plot whose lines share both scales.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) lines: Vec<Line>,
}

impl Plot {
    pub(crate) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let sizes = || points().map(|(size, _)| (*size as f64).log10());
        let [first, last] = [sizes().fold(f64::MAX, f64::min), sizes().fold(f64::MIN, f64::max)];
        let step = step(points().map(|(_, value)| *value).fold(0.0, f64::max));
        let top = step
            * (points().map(|(_, value)| *value).fold(0.0, f64::max) / step)
                .ceil()
                .max(1.0);
        let x = |size: usize| {
            let share = ((size as f64).log10() - first) / (last - first).max(f64::EPSILON);
            LEFT + share * (RIGHT - LEFT)
        };
        let y = |value: f64| BOTTOM - value / top * (BOTTOM - TOP);

        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"22\" font-size=\"14\">{}</text>\n",
            self.title
        );
        let mut value = 0.0;
        while value <= top + step / 2.0 {
            let place = y(value);
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {place:.1}H{RIGHT}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                place + 4.0,
                (value * 100.0).round() / 100.0
            );
            value += step;
        }
        for (size, _) in self.lines.first().map_or(&[][..], |line| &line.points) {
            let _ = writeln!(
                svg,
                "<path d=\"M{0:.1} {BOTTOM}v5\" stroke=\"#888\"/><text x=\"{0:.1}\" y=\"{1}\" text-anchor=\"middle\">{size}</text>",
                x(*size),
                BOTTOM + 20.0
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">validators</text>",
            f64::midpoint(LEFT, RIGHT),
            BOTTOM + 38.0
        );
        for (line, colour) in self.lines.iter().zip(COLOURS) {
            let places: Vec<String> = line
                .points
                .iter()
                .map(|(size, value)| format!("{:.1},{:.1}", x(*size), y(*value)))
                .collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                places.join(" ")
            );
            for (size, value) in &line.points {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"><title>{size}: {value}</title></circle>",
                    x(*size),
                    y(*value)
                );
            }
            if let Some((size, value)) = line.points.last() {
                let _ = writeln!(
                    svg,
                    "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
                    x(*size) + 8.0,
                    y(*value) + 4.0,
                    line.name
                );
            }
        }
        svg + "</svg>\n"
    }
}

/// A round distance between two lines, so that at least [`STEPS`] fit below `most`.
fn step(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let magnitude = 10_f64.powf((most / STEPS).log10().floor());
    let fits = |factor: &f64| magnitude * factor * STEPS <= most;
    magnitude
        * [5.0, 2.0, 1.0]
            .iter()
            .copied()
            .find(|factor| fits(factor))
            .unwrap_or(1.0)
}

#[test]
fn axis_steps_are_round_numbers() {
    for (most, expected) in [
        (383.0, 50.0),
        (106.0, 20.0),
        (193.0, 20.0),
        (4.0, 1.0),
        (0.9, 0.2),
        (0.0, 1.0),
    ] {
        assert!((step(most) - expected).abs() < 1e-9, "{most}: {}", step(most));
    }
}
