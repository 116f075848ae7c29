//! Small charts as SVG. Each has a text for readers who do not see it. Colours are classes: the policy of the pages
//! allows no style inside them.

use maud::{Markup, html};

use super::answers::Stretch;

/// The width of one bar with its gap, and the height of a chart.
const STEP: usize = 10;
const HEIGHT: i64 = 40;

/// Bars of values, the highest of them as high as the chart.
pub fn bars(values: &[i64], label: &str) -> Markup {
    let most = values.iter().copied().max().unwrap_or_default().max(1);
    html! {
        svg.chart viewBox=(area(values.len())) preserveAspectRatio="none" role="img" aria-label=(label) {
            @for (at, value) in values.iter().enumerate() {
                // Something that is not nothing can be seen.
                @let height = if *value == 0 { 1 } else { scaled(*value, most).max(2) };
                rect.value[*value > 0].none[*value == 0] x=(at * STEP + 1) y=(HEIGHT - height) width=(STEP - 2) height=(height) {}
            }
        }
    }
}

/// The share of attempts that succeeded, a bar for each stretch of time. Failures are on top.
pub fn rates(stretches: &[Stretch], label: &str) -> Markup {
    html! {
        svg.chart.rates viewBox=(area(stretches.len())) preserveAspectRatio="none" role="img" aria-label=(label) {
            @for (at, stretch) in stretches.iter().enumerate() {
                @let x = at * STEP + 1;
                @if stretch.attempts == 0 {
                    rect.none x=(x) y=(HEIGHT - 1) width=(STEP - 2) height="1" {}
                } @else {
                    @let failed = if stretch.failed == 0 { 0 } else { scaled(stretch.failed, stretch.attempts).max(3) };
                    rect.good x=(x) y=(failed) width=(STEP - 2) height=(HEIGHT - failed) {}
                    @if failed > 0 { rect.bad x=(x) y="0" width=(STEP - 2) height=(failed) {} }
                }
            }
        }
    }
}

fn area(bars: usize) -> String {
    format!("0 0 {} {HEIGHT}", bars.max(1) * STEP)
}

fn scaled(value: i64, most: i64) -> i64 {
    i64::try_from(i128::from(value) * i128::from(HEIGHT) / i128::from(most)).unwrap_or(HEIGHT)
}

/// Attempts and failures of all stretches, and whether there were more attempts than were counted.
pub fn sums(stretches: &[Stretch]) -> (i64, i64, bool) {
    stretches.iter().fold((0, 0, false), |(attempts, failed, more), stretch| {
        (attempts + stretch.attempts, failed + stretch.failed, more | stretch.truncated)
    })
}

/// The share of successes in percent, with one digit behind the point. It is 100 only if nothing failed.
pub fn percent(attempts: i64, failed: i64) -> String {
    let tenths = (attempts - failed) * 1_000 / attempts.max(1);
    if tenths % 10 == 0 { format!("{} %", tenths / 10) } else { format!("{}.{} %", tenths / 10, tenths % 10) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_100_only_without_a_failure() {
        assert_eq!(percent(10, 0), "100 %");
        assert_eq!(percent(100_000, 1), "99.9 %");
        assert_eq!(percent(3, 2), "33.3 %");
        assert_eq!(percent(3, 3), "0 %");
    }

    #[test]
    fn values_beyond_two_to_the_53_have_a_height() {
        let chart = bars(&[i64::MAX, 0], "x").into_string();
        assert!(chart.contains("height=\"40\"") && chart.contains("none\""), "{chart}");
    }
}
